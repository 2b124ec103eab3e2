"""The audit log: every write through a key, the console or the command line."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from rapport.access import service
from rapport.access.keys import Principal
from rapport.api.auth import admin
from rapport.api.sections import SectionRouter

router = SectionRouter("Management: access", "/manage/v1")


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
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[AuditOut]:
    """Writes, newest first."""
    entries = service.audit_entries(principal.scope, limit, offset)
    return [AuditOut.model_validate(entry, from_attributes=True) for entry in entries]
