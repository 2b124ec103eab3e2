"""Management: may this customer be written to on this channel now, and if not, why?"""

from datetime import datetime
from typing import Annotated

from fastapi import Depends
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import CHANGES_NOTHING, SectionRouter
from rapport.realtime.matching import eligibility as realtime_eligibility

router = SectionRouter("Management: campaigns", "/manage/v1/eligibility", JsonRoute)
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]


class EligibilityIn(Body):
    """The customer to contact, the channel, the campaign and the time."""

    customer_id: str = Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$", examples=["Q1001"])
    channel_id: Number = Field(examples=[504])
    series_id: Number | None = Field(
        None,
        description="A series or triggered campaign whose own rules count too; null: only the rules of all campaigns",
    )
    at: AwareDatetime | None = Field(None, description="An instant within the next 366 days; null: now")


class EligibilityOut(BaseModel):
    """Whether the customer may be contacted, and if not, the first rule that forbids it."""

    model_config = ConfigDict(from_attributes=True)

    customer_id: str = Field(examples=["Q1001"], description="In its stored spelling")
    channel_id: int = Field(examples=[504])
    series_id: int | None
    at: datetime = Field(description="The instant that the answer is for")
    may_be_written_to: bool = Field(examples=[False])
    outcome: str = Field(
        examples=["suppressed"],
        description="Empty if the customer may be contacted, otherwise excluded, capped, suppressed, no address, "
        "skipped or waiting (until not_before)",
    )
    reason: str = Field(examples=["suppression list"], description="The rule, with the reason that campaigns record")
    not_before: datetime | None = Field(description="The end of the quiet hours that the message would wait for")
    explanation: str = Field(examples=["Not contacted on channel 504: suppression list."])


@router.post("", summary="Ask whether a customer may be contacted", openapi_extra=CHANGES_NOTHING)
def ask_eligibility(body: EligibilityIn, principal: Principal = Depends(admin)) -> EligibilityOut:  # noqa: B008
    """Says whether a customer may be contacted on a channel, now or at another time, and if not, why.

    The rules are those of triggers, in the same order, and with series_id also those of the series. Nothing is sent.
    Control, the gateway, approvals and other customers with the same address are not considered; they count only when
    a campaign is sent.
    """
    eligibility = realtime_eligibility.eligibility(
        principal.scope, body.customer_id, body.channel_id, body.series_id, body.at
    )
    return EligibilityOut.model_validate(eligibility)
