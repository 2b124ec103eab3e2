"""The audit log: every write through a key, the console or the command line."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import AwareDatetime, BaseModel, Field

from rapport.access.audit import AuditFilter, audit_entries
from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter

router = SectionRouter("Management: access", "/manage/v1", JsonRoute)


Text = Annotated[str, Field(max_length=300, pattern=r"^[^\x00]*$")]


class AuditOut(BaseModel):
    """One write."""

    id: int
    at: datetime
    actor: str = Field(examples=["key rap_5Zk2m1Qa (Warehouse export)"])
    action: str = Field(examples=["create"])
    object: str = Field(examples=["brand 2"])
    details: dict[str, Any]


@router.get("/audit-entries", summary="Read the audit log")
def list_audit_entries(
    actor: Annotated[
        Text, Query(description="Part of the actor's name, in any case", examples=["Warehouse export"])
    ] = "",
    action: Annotated[Text, Query(description="The complete action, in any case", examples=["update"])] = "",
    object: Annotated[Text, Query(description="Part of the object, in any case", examples=["series 4"])] = "",
    since: Annotated[AwareDatetime | None, Query(description="From this instant on")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Before this instant")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[AuditOut]:
    """Writes, newest first; the parameters filter them."""
    audit_filter = AuditFilter(actor=actor, action=action, object=object, since=since, until=until)
    entries = audit_entries(principal.scope, limit, offset, audit_filter)
    return entries.each(lambda entry: AuditOut.model_validate(entry, from_attributes=True))
