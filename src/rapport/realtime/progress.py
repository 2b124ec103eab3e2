"""How far a person is in a trigger that needs more than one event; no clock and no store is asked here.

Times are the events' own. A repeated trigger looks at the window that ends with the newest event of
the person: an event that arrives late counts as long as it lies in there, and none counts twice. A
sequence is opened by its event and ends with the first closing event in its window, else at its
deadline; a restart event moves the deadline on.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any


@dataclass(slots=True)
class Progress:
    """What is kept of a person in a trigger.

    times: events of a repeated trigger that are not used up, in order. closed_at: the newest closing
    event of a sequence, or the newest event that a repeated trigger has used up. opened: the event
    that opened a sequence (key, at, parameters), which is open while deadline is set.
    """

    times: list[datetime] = field(default_factory=list)
    deadline: datetime | None = None
    closed_at: datetime | None = None
    opened: dict[str, Any] | None = None
    changed: bool = False


def count(progress: Progress, at: datetime, window: timedelta, times: int) -> bool:
    """Count an event of a repeated trigger; whether it completes the number that fires."""
    if progress.closed_at is not None and at <= progress.closed_at:
        return False
    newest = max([at, *progress.times])
    kept = sorted(one for one in [*progress.times, at] if one >= newest - window)
    if len(kept) >= times:
        progress.times, progress.closed_at, progress.changed = [], newest, True
        return True
    if kept != progress.times:
        progress.times, progress.changed = kept, True
    return False


def begin(progress: Progress, at: datetime, window: timedelta, event: dict[str, Any]) -> None:
    """Open a sequence, unless it is open or a later closing event came first."""
    if progress.deadline is None and (progress.closed_at is None or progress.closed_at < at):
        progress.opened, progress.deadline, progress.changed = event, at + window, True


def restart(progress: Progress, at: datetime, window: timedelta) -> None:
    """Move the deadline of an open sequence on, if the event lies in its window."""
    if progress.deadline is not None and opened_at(progress) <= at <= progress.deadline < at + window:
        progress.deadline, progress.changed = at + window, True


def close(progress: Progress, at: datetime) -> None:
    """End a sequence that is open at this time; the event is remembered for an opening event that comes late."""
    if progress.deadline is not None and opened_at(progress) <= at <= progress.deadline:
        progress.opened, progress.deadline, progress.changed = None, None, True
    if progress.closed_at is None or progress.closed_at < at:
        progress.closed_at, progress.changed = at, True


def end(progress: Progress) -> dict[str, Any]:
    """Take an open sequence off, as its deadline has come; the event that opened it."""
    assert progress.opened is not None, "only an open sequence ends"
    opened, progress.opened, progress.deadline, progress.changed = progress.opened, None, None, True
    return opened


def opened_at(progress: Progress) -> datetime:
    """When an open sequence was opened."""
    assert progress.opened is not None, "only an open sequence has an opening"
    return datetime.fromisoformat(progress.opened["at"])


def joined(one: Progress, other: Progress, window: timedelta) -> Progress:
    """What two persons who turn out to be one have done together. The older open sequence stands."""
    merged = Progress(changed=True)
    known = [p for p in (one, other) if p.closed_at is not None]
    merged.closed_at = max((p.closed_at for p in known if p.closed_at), default=None)
    times = sorted({*one.times, *other.times})
    merged.times = [at for at in times if at >= times[-1] - window] if times else []
    opened = [p for p in (one, other) if p.deadline is not None]
    if opened:
        oldest = min(opened, key=opened_at)
        if merged.closed_at is None or merged.closed_at < opened_at(oldest):
            merged.opened, merged.deadline = oldest.opened, max(p.deadline for p in opened if p.deadline)
    return merged
