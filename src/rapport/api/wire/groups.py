"""Target Groups: definitions by name and ID, groups addressed on a date, fixed customer lists as groups."""

from typing import Annotated

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.api.http.auth import caller
from rapport.api.http.bodies import LongList, WireModel, parse, raw_body
from rapport.api.http.parameters import required
from rapport.api.http.responses import json_response
from rapport.api.reads import Read, register
from rapport.api.sections import SectionRouter
from rapport.api.wire.recipients import DATE
from rapport.audiences import lists
from rapport.campaigns.states import EXECUTED_STATES

router = SectionRouter("Target Groups")
EXECUTED = ", ".join(f"'{state}'" for state in EXECUTED_STATES)
MAX_ID = 255

register(
    router,
    Read(
        "groups",
        "GetTargetGroupsByDate",
        "The target groups of the campaigns executed on one date",
        engine="records",
        sql=f"""
            SELECT DISTINCT target_group_id AS "TargetGroupID" FROM campaigns
            WHERE tenant_id = :tenant_id AND send_date = :Date AND state IN ({EXECUTED})
              AND target_group_id > 0 AND NOT is_one_time
        """,  # noqa: S608 - the states are constants
        row={"TargetGroupID": "integer"},
        order='"TargetGroupID"',
        params=(DATE,),
    ),
    Read(
        "groups",
        "GetTargetGroupID",
        "The ID of a target group by its name",
        engine="records",
        sql="""
            SELECT id AS "TargetGroupID" FROM target_groups
            WHERE tenant_id = :tenant_id AND lower(name) = lower(:TargetGroupName) AND NOT archived
        """,
        row={"TargetGroupID": "integer"},
        order='"TargetGroupID"',
        params=(required("TargetGroupName", "string", "The full name, in any case"),),
        single=True,
        missing="There is no target group of the TargetGroupName {TargetGroupName!r}.",
    ),
    Read(
        "groups",
        "GetTargetGroupName",
        "The name of a target group by its ID",
        engine="records",
        sql="""
            SELECT name AS "TargetGroupName" FROM target_groups
            WHERE tenant_id = :tenant_id AND id = :TargetGroupID
        """,
        row={"TargetGroupName": "string"},
        order='"TargetGroupName"',
        params=(required("TargetGroupID", "integer", "A target group; past campaigns may name archived ones"),),
        single=True,
        missing="There is no target group of the TargetGroupID {TargetGroupID}.",
    ),
    Read(
        "groups",
        "GetTargetGroupDetails",
        "Every target group in use, with name and priority (1 is first)",
        engine="records",
        sql="""
            SELECT id AS "TargetGroupID", name AS "TargetGroupName", priority AS "TargetGroupPriority"
            FROM target_groups WHERE tenant_id = :tenant_id AND NOT archived
        """,
        row={"TargetGroupID": "integer", "TargetGroupName": "string", "TargetGroupPriority": "integer"},
        order='"TargetGroupID"',
    ),
)


class CustomerList(WireModel):
    """A list of customers to make a target group of."""

    name: str = Field(
        alias="list-name",
        min_length=1,
        max_length=200,
        examples=["Spring VIPs"],
        description="The name of the target group; it must be unique",
    )
    customers: LongList[Annotated[str, Field(max_length=MAX_ID)]] = Field(examples=[["Q1001", "Q1002"]])


class CustomerListMade(BaseModel):
    """The list and its target group; how many of the customers exist, and which do not."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    target_group_id: int = Field(alias="target-group-id")
    list_id: int = Field(alias="list-id")
    name: str = Field(alias="list-name")
    existing: int = Field(alias="existed-customers")
    missing: list[str] = Field(alias="non-existed-customers")


@router.post(
    "/api/v2/target-group/customer-list",
    summary="Create a target group from a list of customers",
    operation_id="CreateCustomerList",
    response_model=CustomerListMade,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": CustomerList.model_json_schema()}},
        }
    },
)
def create_customer_list(
    principal: Principal = Depends(caller("CreateCustomerList")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """The group contains the customers that exist; 400 for a name in use, an empty list or a list without any known
    ID.
    """
    customer_list = parse(CustomerList, body, long_list=True)
    created = lists.create_customer_list(principal.scope, customer_list.name, customer_list.customers)
    answer = CustomerListMade(
        target_group_id=created.target_group_id,
        list_id=created.list_id,
        name=created.name,
        existing=created.existing,
        missing=created.missing,
    )
    return json_response(answer.model_dump_json(by_alias=True).encode())
