"""What an application asks to be pushed: to whom, what, and when."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from rapport.channels.messages import Content

MOST_TARGETS = 1000
FORMS = ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")
# So late a time may be that a clock which differs a little took for a future one.
GRACE = timedelta(minutes=5)


class Strategy(StrEnum):
    """By which clock a time is meant: that of UTC, or that of each device."""

    UTC = "utc"
    LOCAL = "local"


@dataclass(frozen=True)
class Schedule:
    """When messages leave: an instant, or a wall-clock time of each device.

    skips_past: devices on whose clocks the time has passed get nothing; otherwise they get it at once.
    """

    at: datetime
    strategy: Strategy
    skips_past: bool

    def due_in(self, zone: str, default: ZoneInfo) -> datetime:
        """The instant for a device in a zone; one that is unknown counts as the default."""
        if self.strategy is Strategy.UTC:
            return self.at.replace(tzinfo=UTC)
        return self.at.replace(tzinfo=_zone(zone) or default).astimezone(UTC)


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def time_of(text: str) -> datetime | None:
    """A time without a zone, or one of UTC that says so, as it is meant; None for what is no time."""
    plain = text.strip().removesuffix("Z")
    for form in FORMS:
        try:
            return datetime.strptime(plain, form)
        except ValueError:
            continue
    return None


@dataclass(frozen=True)
class Target:
    """To whom: customers, installs, the members of a target group, or all installs of the app."""

    customer_ids: list[str] = field(default_factory=list)
    install_ids: list[str] = field(default_factory=list)
    target_group_id: int | None = None
    is_broadcast: bool = False
    without_installs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class PushContent:
    """What is shown, and what a template of push messages may say beside it; of a template, what takes its place."""

    title: str = ""
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def written(self) -> str:
        """As it is stored."""
        return orjson.dumps(asdict(self)).decode()

    def over(self, of_template: Content) -> Content:
        """As a kind of channel takes it, with the rest as a template has it."""
        details = {**of_template.details, **self.details}
        return Content(self.title or of_template.subject, self.message or of_template.text, details=details)


def read(written: str) -> PushContent:
    """Content as it was stored."""
    return PushContent(**orjson.loads(written))


@dataclass(frozen=True)
class PushOrder:
    """A request; template_id is 0 without a template."""

    target: Target
    content: PushContent
    schedule: Schedule | None = None
    template_id: int = 0
