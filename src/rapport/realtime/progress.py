"""How far a person is in a trigger that needs more than one event; no clock and no store is asked here.

Times are the events' own. A repeated trigger looks at the window that ends with the newest event of
the person: an event that arrives late counts as long as it lies in there, and none counts twice. A
sequence is opened by its first event and ends with the first closing event in its window, else at its
deadline; a restart event moves the deadline on.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any


@dataclass(slots=True)
class Progress:
    """What is kept of a person in a trigger.

    times: events of a repeated trigger that are not used up, in order. closed_at: the newest closing
    event of a sequence or the deadline of one that has ended, or the newest event that a repeated trigger
    has used up. opened: the event that opened a sequence (key, at, who, parameters), which is open while
    deadline is set.
    """

    times: list[datetime] = field(default_factory=list)
    deadline: datetime | None = None
    closed_at: datetime | None = None
    opened: dict[str, Any] | None = None
    changed: bool = False


def count(progress: Progress, at: datetime, window: timedelta, times: int) -> bool:
    """Count an event of a repeated trigger; whether it completes the number that fires."""
    if progress.closed_at is not None and at < progress.closed_at:
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
    """Open a sequence, unless one has ended or was closed since. One that is open begins with the earlier event."""
    if progress.closed_at is not None and at <= progress.closed_at:
        return
    if progress.deadline is None:
        progress.opened, progress.deadline, progress.changed = event, at + window, True
    elif at < opened_at(progress) <= at + window:
        if progress.deadline == opened_at(progress) + window:  # no restart event has moved it on
            progress.deadline = at + window
        progress.opened, progress.changed = event, True


def restart(progress: Progress, at: datetime, window: timedelta) -> None:
    """Move the deadline of an open sequence on, if the event lies in its window.

    A closing event that arrived before this one, and lay after the deadline as it was then, closes it now.
    """
    if progress.deadline is not None and opened_at(progress) <= at <= progress.deadline < at + window:
        progress.deadline, progress.changed = at + window, True
        if progress.closed_at is not None and opened_at(progress) <= progress.closed_at <= progress.deadline:
            progress.opened, progress.deadline = None, None


def close(progress: Progress, at: datetime) -> None:
    """End a sequence that is open at this time; the event is remembered for an opening event that comes late."""
    if progress.deadline is not None and opened_at(progress) <= at <= progress.deadline:
        progress.opened, progress.deadline, progress.changed = None, None, True
    if progress.closed_at is None or progress.closed_at < at:
        progress.closed_at, progress.changed = at, True


def end(progress: Progress) -> dict[str, Any]:
    """Take an open sequence off, as its deadline has come; the event that opened it."""
    assert progress.opened is not None and progress.deadline is not None, "only an open sequence ends"
    progress.closed_at = max(progress.deadline, progress.closed_at or progress.deadline)
    opened, progress.opened, progress.deadline, progress.changed = progress.opened, None, None, True
    return opened


def opened_at(progress: Progress) -> datetime:
    """When an open sequence was opened."""
    assert progress.opened is not None, "only an open sequence has an opening"
    return datetime.fromisoformat(progress.opened["at"])


def joined(one: Progress, other: Progress, window: timedelta) -> Progress:
    """What two persons who turn out to be one have done together. The older open sequence stands."""
    merged = Progress(changed=True)
    merged.closed_at = max((p.closed_at for p in (one, other) if p.closed_at is not None), default=None)
    times = sorted(at for at in (*one.times, *other.times) if merged.closed_at is None or at >= merged.closed_at)
    merged.times = [at for at in times if at >= times[-1] - window]
    opened = [(opened_at(p), p.deadline, p.opened) for p in (one, other) if p.deadline is not None]
    standing = [found for found in opened if merged.closed_at is None or merged.closed_at < found[0]]
    for at, deadline, event in sorted(standing, key=lambda found: (found[0], -found[1].timestamp())):
        if merged.deadline is None:
            merged.opened, merged.deadline = event, deadline
        elif deadline != at + window:
            restart(merged, deadline - window, window)
    return merged
