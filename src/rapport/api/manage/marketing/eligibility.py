"""Management: may this customer be written to on this channel now, and if not, why?"""

from datetime import datetime
from typing import Annotated

from fastapi import Depends
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.realtime import service

router = SectionRouter("Management: campaigns", "/manage/v1/eligibility", JsonRoute)
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]


class EligibilityIn(Body):
    """Whom to write to, on which channel, for which campaign and when."""

    customer_id: str = Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$", examples=["Q1001"])
    channel_id: Number = Field(examples=[504])
    series_id: Number | None = Field(
        None, description="A series or triggered campaign, of which the rules count too; null: those of every campaign"
    )
    at: AwareDatetime | None = Field(None, description="An instant of the next 366 days; null: now")


class EligibilityOut(BaseModel):
    """Whether the customer may be written to, and if not, the first rule that keeps the message back."""

    model_config = ConfigDict(from_attributes=True)

    customer_id: str = Field(examples=["Q1001"], description="As it is known")
    channel_id: int = Field(examples=[504])
    series_id: int | None
    at: datetime = Field(description="The instant that the answer is for")
    may_be_written_to: bool = Field(examples=[False])
    outcome: str = Field(
        examples=["suppressed"],
        description="Empty if so, else excluded, capped, suppressed, no address, skipped or waiting (for not_before)",
    )
    reason: str = Field(examples=["suppression list"], description="Which rule, in the words of campaigns' outcomes")
    not_before: datetime | None = Field(description="The end of the quiet hours that the message would wait for")
    explanation: str = Field(examples=["Not written to on channel 504: suppression list."])


@router.post("", summary="Ask whether a customer may be written to")
def ask_eligibility(body: EligibilityIn, principal: Principal = Depends(admin)) -> EligibilityOut:  # noqa: B008
    """May this customer be written to on this channel, now or at an instant, and if not, why?

    The rules are those that triggers go by, in their order; of a series its own. Nothing is sent, and nobody is drawn:
    control, the gateway, clearances and who else has the address count when a campaign goes out.
    """
    found = service.eligibility(principal.scope, body.customer_id, body.channel_id, body.series_id, body.at)
    return EligibilityOut.model_validate(found)
