"""What a tenant can set about campaigns: the "campaigns" member of its settings."""

import re
from datetime import date
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from rapport.access.tenant_settings import TenantSettings

HourMinute = Annotated[str, StringConstraints(pattern=re.compile(r"^([01]\d|2[0-3]):[0-5]\d$"))]


class Hours(BaseModel):
    """Hours of the tenant's wall clock, also over midnight."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: HourMinute = Field(examples=["22:00"], description="The first quiet minute, tenant time")
    end: HourMinute = Field(examples=["08:00"], description="The first minute that is no longer quiet")

    @model_validator(mode="after")
    def _some_hours(self) -> Self:
        if self.start == self.end:
            raise ValueError("end must differ from start")
        return self


class HoldOut(BaseModel):
    """A share of all customers whom no series and no trigger writes to, from a day of the tenant on."""

    model_config = ConfigDict(extra="forbid")

    share: float = Field(gt=0, le=0.5, examples=[0.05], description="Share of all customers; more of it takes more in")
    start_date: date = Field(examples=["2026-12-01"], description="From what leaves on this day on")
    salt: str = Field("1", min_length=1, max_length=50, description="Another one draws all customers anew")


class CampaignSettings(TenantSettings):
    """Defaults suit a company that sends a few campaigns a day."""

    section = "campaigns"

    data_ready_time: HourMinute = Field("04:00", description="When the day's data are complete, UTC")
    default_send_time: HourMinute = Field("09:00", description="Send time where a channel has none, tenant time")
    time_zone_attribute: str = Field(
        "TIMEZONE",
        min_length=1,
        max_length=128,
        description="The customer attribute that holds time zones: IANA names such as Europe/Berlin, or offsets from "
        "UTC such as +02:00",
    )
    blast_factor: float = Field(3.0, gt=1, description="A run this many times its target group's usual one stops")
    blast_minimum: int = Field(1000, ge=0, description="A run up to this many customers never stops for its size")
    messages_per_day: int = Field(5, ge=1, description="A run that would give one customer more messages a day stops")
    clearance_minutes: int = Field(
        30, ge=0, le=10_000, description="How long before the first send a conditional campaign's deadline is"
    )
    clearance_review_minutes: int = Field(
        30, ge=1, le=10_000, description="How long before that deadline it is announced at least: later runs send later"
    )
    quiet_hours: Hours | None = Field(
        None, description="Hours in which no message of a scheduled campaign leaves: it waits for their end"
    )
    hold_out: HoldOut | None = Field(None, description="Customers whom no campaign writes to (global hold-out)")
    batch_size: int = Field(500, ge=1, le=10_000, description="Messages in one durable step")
    retry_delays: list[float] = Field([10, 60, 300], description="Seconds before each retry of a temporary failure")
    wait_hours: float = Field(
        12, ge=0, le=720, description="How many hours late a message may still leave when its server was away"
    )
    engagement_days: int = Field(7, ge=1, le=90, description="How long files for senders (event 14) are kept")
    list_triggered: bool = Field(
        False, description="Whether functions that ask by date or target group list triggered campaigns too"
    )
    late_minutes: int = Field(30, ge=1, description="A due run that has not begun after this long is an alarm")
