"""The log of consent: who agreed to what, or does so no more, when, by what, and in which words it was asked."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.messaging.contactability import consent_log
from rapport.messaging.models import WishSource

router = SectionRouter("Management: topics", "/manage/v1/consent-log", JsonRoute)


class ConsentChangeOut(BaseModel):
    """A change of what somebody agreed to. Entries are never changed; an erasure replaces the person."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    customer_id: str = Field(
        examples=["Q1001"], description="Empty for an erased person, and for an address without a customer"
    )
    customer_key: str = Field(
        examples=["q1001"],
        description="The ID in lower case; for an erased person a keyed hash; for an address, address: and a keyed "
        "hash",
    )
    topic_id: str = Field(examples=["1b7d1f3a-5d0e-4a6e-9c57-3f1f2a9d8e01"], description="Empty: all messages")
    channel_id: int = Field(
        examples=[15], description="A channel (0: any); for a topic, a number of the preference centre"
    )
    agreed: bool = Field(description="false: the person refused")
    source: WishSource | str = Field(examples=["page"])
    actor: str = Field(examples=["preference page"], description="Who made the change, as in the audit log")
    wording: str = Field(examples=["Your message preferences"], description="What the person read, where it is known")
    changed_at: datetime


@router.get("", summary="List changes of consent")
def list_consent_changes(
    customer_id: Annotated[str | None, Query(max_length=300)] = None,
    topic_id: Annotated[str | None, Query(max_length=36)] = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[ConsentChangeOut]:
    """Newest first. The parameters select one customer, also after an erasure, or one topic."""
    changes = consent_log.changes(principal.scope, customer_id, topic_id, since, until, limit, offset)
    return changes.each(ConsentChangeOut.model_validate)
