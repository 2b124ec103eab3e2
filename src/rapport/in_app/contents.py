"""What an in-app message says beside its place in the campaign: what a template's details hold, and a send may set."""

from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from rapport.errors import Invalid

# A name that the server of an app gives to a template.
UID = r"^[A-Za-z0-9-]*$"


class PresentedWhen(StrEnum):
    """When an app shows a message by itself: as soon as it has it, when it is opened next, or never (inbox only)."""

    IMMEDIATELY = "immediately"
    NEXT_OPEN = "next-open"
    NEVER = "never"


class Surface(StrEnum):
    """Where a message is shown: as an in-app message, or as an overlay at the beginning of a session or at once."""

    IN_APP = "in-app"
    SESSION = "session"
    IMMEDIATE = "immediate"


class TimeUnit(StrEnum):
    """The units of a time to live."""

    MINUTES = "m"
    HOURS = "h"
    DAYS = "d"


LENGTHS = {
    TimeUnit.MINUTES: timedelta(minutes=1),
    TimeUnit.HOURS: timedelta(hours=1),
    TimeUnit.DAYS: timedelta(days=1),
}


class Part(BaseModel):
    """A part of a content, all of whose members are known."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class TimeToLive(Part):
    """For how long after it was sent a message may be shown."""

    expires_in: int = Field(ge=1, le=100_000)
    units: TimeUnit = TimeUnit.DAYS

    @property
    def length(self) -> timedelta:
        """The time as a length."""
        return self.expires_in * LENGTHS[self.units]


class InboxPart(Part):
    """How a message stands in the inbox of the app, and from when to when it does."""

    title: str = Field(min_length=1, max_length=500)
    subtitle: str = Field("", max_length=1000)
    image_path: str = Field("", max_length=2000, description="A path of the media host, or a URL.")
    available_from: AwareDatetime | None = Field(None, alias="from")
    available_to: AwareDatetime | None = Field(None, alias="to")


class Badge(Part):
    """The number on the app's icon: what it becomes, or by how much it changes."""

    set: int | None = Field(None, ge=0, le=100_000)
    inc: int | None = Field(None, ge=-100_000, le=100_000)


class Tickle(Part):
    """The push message that announces an in-app message."""

    title: str = Field(min_length=1, max_length=500)
    message: str = Field(min_length=1, max_length=4000)
    url: str = Field("", max_length=2000)
    data: dict[str, Any] | None = None


class InAppContent(Part):
    """An in-app message or overlay. content is what the page shows that renders it, data goes to the app."""

    uid: str = Field(
        "", max_length=255, pattern=UID, description="A name by which the server of an app names the template."
    )
    presented_when: PresentedWhen = Field(
        PresentedWhen.IMMEDIATELY,
        description="When the app shows the message: immediately, next-open, or never (in the inbox only).",
    )
    content: dict[str, Any] = Field(default_factory=dict, description="What the page that shows messages is given.")
    data: dict[str, Any] | None = Field(None, description="What the app is given with the message.")
    ttl: TimeToLive | None = Field(None, description="After which time the message is not shown any more.")
    inbox: InboxPart | None = Field(None, description="How the message stands in the app's inbox.")
    badge: Badge | None = None
    tickle: Tickle | None = Field(None, description="The push message that announces it; none unless one is given.")
    surface: Surface = Field(
        Surface.IN_APP,
        description="in-app; or session or immediate for an overlay, shown when a session begins or at once.",
    )

    def check(self) -> None:
        """Raise Invalid for a message that nobody could ever see."""
        if self.surface is not Surface.IN_APP and self.inbox is not None:
            raise Invalid("details.inbox is for in-app messages: an overlay is in no inbox.")
        if self.surface is not Surface.IN_APP and not self.content:
            raise Invalid("details.content is required of an overlay.")
        if self.surface is Surface.IN_APP and not (self.content or self.inbox):
            raise Invalid("An in-app template needs details.content, or details.inbox.")
        if self.presented_when is PresentedWhen.NEVER and self.inbox is None:
            raise Invalid("details.inbox is required of a message that is never presented by itself.")
