"""Management of target groups: definitions, sizes, samples, members, and what a builder of conditions needs."""

from datetime import date, datetime
from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.http.tables import CONTENT, FORMATS, Format, table_file
from rapport.api.sections import CHANGES_NOTHING, SectionRouter
from rapport.audiences import building, changing, counting, exports, membership, unknown_properties
from rapport.audiences import groups as audience_groups
from rapport.audiences import sizes as audience_sizes
from rapport.audiences.changing import GroupChanges
from rapport.audiences.models import Count, TargetGroup
from rapport.campaigns import group_uses
from rapport.conditions import Condition
from rapport.conditions.language.json_schema import EXAMPLE, ConditionJson
from rapport.stores.parts import Part

router = SectionRouter("Management: target groups", "/manage/v1", JsonRoute)
MAX_INT = 2**31 - 1
GroupId = Annotated[int, Path(ge=1, le=MAX_INT)]
CountId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
TELLS = "Whether event 101 announces each day how many customers entered and left"
Definition = Annotated[ConditionJson, Field(description="A condition, see docs/conditions.md", examples=[EXAMPLE])]


class TargetGroupIn(Body):
    """A target group to create; without a priority it is last."""

    name: str = Field(min_length=1, max_length=200, examples=["Spenders of the quarter"])
    definition: Definition
    priority: int | None = Field(None, ge=1, le=1_000_000, examples=[3], description="The lower number goes first")
    tells_changes: bool = Field(False, description=TELLS)


class TargetGroupChange(Body):
    """What to change of a target group."""

    name: str | None = Field(None, min_length=1, max_length=200)
    definition: Definition | None = None
    priority: int | None = Field(None, ge=1, le=1_000_000)
    tells_changes: bool | None = Field(None, description=TELLS)


class TargetGroupOut(BaseModel):
    """A target group; size is the most recent count, for the data date size_date, made at sized_at."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    priority: int
    definition: Definition
    archived: bool
    version: int
    tells_changes: bool = Field(description=TELLS)
    size: int | None
    size_date: date | None
    sized_at: datetime | None
    created_at: datetime


class TargetGroupTold(TargetGroupOut):
    """A target group with its definition as a sentence."""

    sentence: str = Field(examples=["Country is one of 'DE' or 'AT'"])


class DefinitionIn(Body):
    """A definition."""

    definition: Definition


class CountIn(DefinitionIn):
    """A definition to count in the background; an earlier count for the same data date is returned, unless refresh is
    set.
    """

    refresh: bool = False


class SampleIn(DefinitionIn):
    """A definition from which to sample customers."""

    customers: int = Field(20, ge=1, le=1000)


Reached = Annotated[
    dict[str, int], Field(examples=[{"504": 812}], description="How many of them each channel reaches, by its id")
]


Warnings = Annotated[
    list[str],
    Field(
        examples=[["No row of transactions has a property 'Sprot' yet; the most similar property is 'Sport'."]],
        description="Properties that the definition names and no transaction or event has",
    ),
]


class TargetGroupSized(TargetGroupTold):
    """A target group that was just counted."""

    reachable: Reached
    warnings: Warnings


class SizeOut(BaseModel):
    """How many customers a definition selects."""

    size: int
    reachable: Reached
    warnings: Warnings


class DailySizeOut(BaseModel):
    """How many customers a target group had on a data date, by the definition of this version."""

    model_config = ConfigDict(from_attributes=True)

    data_date: date
    size: int
    version: int


class SentenceOut(BaseModel):
    """A definition in words."""

    sentence: str


class CustomersOut(BaseModel):
    """Customer ids."""

    customer_ids: list[str]


class CountOut(BaseModel):
    """A count; age_seconds is the age of its result."""

    id: str
    state: str = Field(examples=["done"], description="running, done, canceled or failed")
    data_date: date
    size: int | None
    seconds: float | None
    error: str
    age_seconds: float | None


class AttributeChoiceOut(BaseModel):
    """An attribute, its operators and a few of its values."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(examples=["COUNTRY"])
    alias: str = Field(examples=["Country"])
    description: str
    kind: str = Field(examples=["text"])
    operators: list[str] = Field(examples=[["equals", "not_equals", "in"]])
    examples: list[str] = Field(examples=[["DE", "AT"]])


def _with_sentence(scope: Scope, group: TargetGroup) -> TargetGroupTold:
    shown = TargetGroupOut.model_validate(group).model_dump()
    return TargetGroupTold(**shown, sentence=audience_groups.readable(scope, group.condition))


def _reached(scope: Scope, condition: Condition) -> dict[str, int]:
    return {str(number): count for number, count in counting.reach_now(scope, condition).items()}


def _count(scope: Scope, count: Count) -> CountOut:
    age = None if count.finished_at is None else (scope.clock.now() - count.finished_at).total_seconds()
    return CountOut(
        id=count.id,
        state=count.state,
        data_date=count.data_date,
        size=count.size,
        seconds=count.seconds,
        error=count.error,
        age_seconds=age,
    )


@router.get("/target-groups", summary="List target groups")
def list_target_groups(
    archived: bool = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    offset: Annotated[int, Query(ge=0, le=MAX_INT)] = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[TargetGroupOut]:
    """The groups in use, or the archived ones, by ID, with their most recent sizes."""
    groups = audience_groups.target_groups(principal.scope, archived=archived)
    return Part.of(groups, limit, offset).each(TargetGroupOut.model_validate)


@router.post("/target-groups", status_code=201, summary="Create a target group")
def create_target_group(body: TargetGroupIn, principal: Principal = Depends(admin)) -> TargetGroupTold:  # noqa: B008
    """Save a definition; 400 says what is wrong and where, 409 that the name is in use."""
    group = audience_groups.create_target_group(
        principal.scope, body.name, body.definition, body.priority, tells_changes=body.tells_changes
    )
    return _with_sentence(principal.scope, group)


@router.get("/target-groups/{group_id}", summary="Read a target group")
def get_target_group(group_id: GroupId, principal: Principal = Depends(admin)) -> TargetGroupTold:  # noqa: B008
    """A group with its definition as a sentence."""
    return _with_sentence(principal.scope, audience_groups.target_group(principal.scope, group_id))


@router.patch("/target-groups/{group_id}", summary="Change a target group")
def change_target_group(
    group_id: GroupId,
    body: TargetGroupChange,
    principal: Principal = Depends(admin),  # noqa: B008
) -> TargetGroupTold:
    """Change the members in the body; 409 for a name in use, an archived group or a circular reference between
    groups.
    """
    changed = audience_groups.update_target_group(
        principal.scope, group_id, body.name, body.definition, body.priority, tells_changes=body.tells_changes
    )
    return _with_sentence(principal.scope, changed)


@router.post("/target-groups/{group_id}/archive", summary="Archive a target group")
def archive_target_group(group_id: GroupId, principal: Principal = Depends(admin)) -> TargetGroupTold:  # noqa: B008
    """Past members stay; 409 while another group, a series or a triggered campaign uses it."""
    return _with_sentence(principal.scope, group_uses.archive_target_group(principal.scope, group_id))


@router.post("/target-groups/{group_id}/size", summary="Count a target group now")
def size_target_group(group_id: GroupId, principal: Principal = Depends(admin)) -> TargetGroupSized:  # noqa: B008
    """Count the members on the newest data date and store the size. `reachable` counts whom a campaign would reach on
    each channel.
    """
    group = counting.size_target_group(principal.scope, group_id)
    shown = _with_sentence(principal.scope, group)
    warnings = unknown_properties.warnings(principal.scope, group.condition)
    reachable = _reached(principal.scope, group.condition)
    return TargetGroupSized(**shown.model_dump(), reachable=reachable, warnings=warnings)


@router.get("/target-groups/{group_id}/sizes", summary="List the daily sizes of a target group")
def list_sizes(
    group_id: GroupId,
    first: Annotated[date | None, Query(description="A data date; if left out: from the beginning")] = None,
    last: Annotated[date | None, Query(description="A data date; if left out: to the newest")] = None,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[DailySizeOut]:
    """The sizes that the daily cycle counted, oldest first, for about three years; a new version means that the
    definition was changed.
    """
    sizes = audience_sizes.sizes_of(principal.scope, group_id, first, last)
    return [DailySizeOut.model_validate(size) for size in sizes]


@router.get("/target-groups/{group_id}/members", summary="List the members of a target group on a date")
def list_members(
    group_id: GroupId,
    data_date: Annotated[
        date | None, Query(examples=["2031-05-04"], description="If left out: the newest data date")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    offset: Annotated[int, Query(ge=0, le=MAX_INT)] = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> CustomersOut:
    """The stored members, ordered by ID; if none are stored, they are computed as long as the profiles of the date
    are kept.
    """
    customer_ids = membership.members(principal.scope, group_id, data_date, limit, offset)
    return CustomersOut(customer_ids=customer_ids)


@router.get("/target-groups/{group_id}/changes", summary="List who entered and left a target group")
def list_changes(
    group_id: GroupId,
    data_date: Annotated[date | None, Query(description="If left out: the newest with stored members")] = None,
    since: Annotated[
        date | None, Query(description="An earlier data date; if left out: the previous one with stored members")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    after: Annotated[str, Query(max_length=255, description="The last customer of the previous page")] = "",
    principal: Principal = Depends(admin),  # noqa: B008
) -> GroupChanges:
    """Customers who are members on only one of two data dates, by ID; entered and left are the total numbers. 404 if
    no members are stored for a date.
    """
    return changing.changes(principal.scope, group_id, data_date, since, limit, after)


@router.get(
    "/target-groups/{group_id}/members-file",
    summary="Download target group members with attributes",
    response_class=Response,
    responses={
        200: {"description": "A file", "content": CONTENT},
    },
)
def get_members_file(
    group_id: GroupId,
    data_date: Annotated[date | None, Query(description="If left out: the newest data date")] = None,
    attributes: Annotated[
        str, Query(max_length=10_000, examples=["EMAIL,FIRST_NAME"], description="RealFieldNames, separated by commas")
    ] = "",
    form: Annotated[Format, Query(alias="format", description=FORMATS)] = "csv",
    principal: Principal = Depends(admin),  # noqa: B008
) -> Response:
    """CustomerID and attributes of all members, ordered by CustomerID, with values as on the wire. The audit log
    records the download.
    """
    names = [name.strip() for name in attributes.split(",") if name.strip()]
    schema, batches = exports.export_members(principal.scope, group_id, names, data_date)
    return table_file(f"target-group-{group_id}", form, schema, batches)


@router.post("/target-groups/size", summary="Count a definition now", openapi_extra=CHANGES_NOTHING)
def size_definition(body: DefinitionIn, principal: Principal = Depends(admin)) -> SizeOut:  # noqa: B008
    """Count on the newest data date and wait for the result. `reachable` counts whom a campaign would reach on each
    channel.

    409 if nobody is selected because no day has been modelled yet.
    """
    condition = audience_groups.definition_of(principal.scope, body.definition).condition
    size = counting.size_now(principal.scope, condition)
    if not size:
        counting.check_modelled(principal.scope)
    warnings = unknown_properties.warnings(principal.scope, condition)
    return SizeOut(size=size, reachable=_reached(principal.scope, condition), warnings=warnings)


@router.post("/target-groups/sample", summary="Sample customers of a definition", openapi_extra=CHANGES_NOTHING)
def sample_definition(body: SampleIn, principal: Principal = Depends(admin)) -> CustomersOut:  # noqa: B008
    """Customers spread evenly over all selected ones; the same every time.

    409 if nobody is selected because no day has been modelled yet.
    """
    condition = audience_groups.definition_of(principal.scope, body.definition).condition
    customer_ids = counting.sample_now(principal.scope, condition, body.customers)
    if not customer_ids:
        counting.check_modelled(principal.scope)
    return CustomersOut(customer_ids=customer_ids)


@router.post("/target-groups/sentence", summary="Describe a definition in words", openapi_extra=CHANGES_NOTHING)
def read_definition(body: DefinitionIn, principal: Principal = Depends(admin)) -> SentenceOut:  # noqa: B008
    """The definition as an English sentence; 400 for a definition that could not be saved in a target group."""
    condition = audience_groups.definition_of(principal.scope, body.definition).condition
    return SentenceOut(sentence=audience_groups.readable(principal.scope, condition))


@router.post("/target-group-counts", status_code=201, summary="Start counting a definition")
def begin_count(body: CountIn, principal: Principal = Depends(admin)) -> CountOut:  # noqa: B008
    """Count in the background; a definition that was already counted for the data date is answered at once.

    A count that finds nobody because no day has been modelled yet fails and says so.
    """
    definition = audience_groups.definition_of(principal.scope, body.definition)
    return _count(principal.scope, counting.start_count(principal.scope, definition, refresh=body.refresh))


@router.get("/target-group-counts/{count_id}", summary="Read a count")
def read_count(count_id: CountId, principal: Principal = Depends(admin)) -> CountOut:  # noqa: B008
    """Its state, and its size once it is done."""
    return _count(principal.scope, counting.count(principal.scope, count_id))


@router.post("/target-group-counts/{count_id}/cancel", summary="Cancel a count")
def cancel_count(count_id: CountId, principal: Principal = Depends(admin)) -> CountOut:  # noqa: B008
    """Stop a running count; one that has ended stays as it is."""
    return _count(principal.scope, counting.cancel_count(principal.scope, count_id))


@router.get("/condition-attributes", summary="List attributes and histories for conditions")
def list_choices(page: Paged, principal: Principal = Depends(admin)) -> list[AttributeChoiceOut]:  # noqa: B008
    """Every attribute with its operators and a few frequent values (none of personal data)."""
    return page.of(building.attribute_choices(principal.scope)).each(AttributeChoiceOut.model_validate)
