"""How far a person is in a trigger that needs more than one event; no clock and no store is asked here.

Times are the events' own. A repeated trigger looks at the window that ends with the newest event of
the person: an event that arrives late counts as long as it lies in there, and none counts twice. A
sequence is opened by its first event and ends with the first closing event in its window, else at its
deadline; a restart event moves the deadline on. An event after the deadline opens the next sequence, also
before the one whose deadline has come is taken off.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any


@dataclass(slots=True)
class OpenSequence:
    """A sequence that is open: the event that opened it (key, at, who, parameters) and its deadline."""

    opened: dict[str, Any]
    deadline: datetime

    @property
    def opened_at(self) -> datetime:
        """The time of the event that opened it."""
        return datetime.fromisoformat(self.opened["at"])

    def covers(self, at: datetime) -> bool:
        """Whether a time lies in its window, both ends included."""
        return self.opened_at <= at <= self.deadline


@dataclass(slots=True)
class Progress:
    """What is kept of a person in a trigger.

    times: events of a repeated trigger that are not used up, in order. closed_at: the newest closing
    event of a sequence or the deadline of one that has ended, or the newest event that a repeated trigger
    has used up. sequences: those that are open, in order; their windows do not overlap.
    """

    times: list[datetime] = field(default_factory=list)
    closed_at: datetime | None = None
    sequences: list[OpenSequence] = field(default_factory=list)
    changed: bool = False

    @property
    def deadline(self) -> datetime | None:
        """The deadline that comes first; None when no sequence is open."""
        return self.sequences[0].deadline if self.sequences else None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known."""
        return not self.times and not self.sequences and self.closed_at is None


def count(progress: Progress, at: datetime, window: timedelta, times: int) -> bool:
    """Count an event of a repeated trigger; whether it completes the number that fires."""
    if progress.closed_at is not None and at < progress.closed_at:
        return False
    newest = max([at, *progress.times])
    kept = sorted(time for time in [*progress.times, at] if time >= newest - window)
    if len(kept) >= times:
        progress.times, progress.closed_at, progress.changed = [], newest, True
        return True
    if kept != progress.times:
        progress.times, progress.changed = kept, True
    return False


def begin(progress: Progress, at: datetime, window: timedelta, event: dict[str, Any]) -> None:
    """Open a sequence, unless one is open then, has ended or was closed since.

    One that another event has opened within the window begins with the earlier event.
    """
    if progress.closed_at is not None and at <= progress.closed_at:
        return
    if any(sequence.covers(at) for sequence in progress.sequences):
        return
    progress.changed = True
    later = next((sequence for sequence in progress.sequences if at < sequence.opened_at <= at + window), None)
    if later is None:
        progress.sequences.append(OpenSequence(event, at + window))
        progress.sequences.sort(key=lambda sequence: sequence.deadline)
        return
    if later.deadline == later.opened_at + window:  # no restart event has moved it on
        later.deadline = at + window
    later.opened = event


def restart(progress: Progress, at: datetime, window: timedelta) -> None:
    """Move the deadline of the sequence on that is open then; one that was opened in what is its window now is it.

    A closing event that arrived before this one, and lay after the deadline as it was then, closes it now.
    """
    sequence = next((sequence for sequence in progress.sequences if sequence.covers(at)), None)
    if sequence is None or sequence.deadline >= at + window:
        return
    sequence.deadline, progress.changed = at + window, True
    _merge(progress)
    if progress.closed_at is not None and sequence.covers(progress.closed_at):
        progress.sequences.remove(sequence)


def _merge(progress: Progress) -> None:
    """Make one of sequences whose windows overlap: it has the opening of the first and the last deadline."""
    merged: list[OpenSequence] = []
    for sequence in progress.sequences:
        if merged and sequence.opened_at <= merged[-1].deadline:
            merged[-1].deadline = max(merged[-1].deadline, sequence.deadline)
        else:
            merged.append(sequence)
    progress.sequences = merged


def close(progress: Progress, at: datetime) -> None:
    """End the sequence that is open at this time; the event is remembered for an opening event that comes late."""
    standing = [sequence for sequence in progress.sequences if not sequence.covers(at)]
    if len(standing) < len(progress.sequences):
        progress.sequences, progress.changed = standing, True
    if progress.closed_at is None or progress.closed_at < at:
        progress.closed_at, progress.changed = at, True


def end(progress: Progress, *, fires: bool = True) -> dict[str, Any]:
    """Take the first open sequence off, as its deadline has come; the event that opened it.

    One that fires nothing since nobody knows the visitor is not over for whoever the visitor turns out to be.
    """
    ended = progress.sequences.pop(0)
    if fires:
        progress.closed_at = max(ended.deadline, progress.closed_at or ended.deadline)
    progress.changed = True
    return ended.opened


def joined(first: Progress, second: Progress, window: timedelta) -> Progress:
    """What two persons who turn out to be one have done together. Of windows that overlap the older one stands."""
    merged = Progress(changed=True)
    merged.closed_at = max(
        (progress.closed_at for progress in (first, second) if progress.closed_at is not None), default=None
    )
    times = sorted(at for at in (*first.times, *second.times) if merged.closed_at is None or at >= merged.closed_at)
    merged.times = [at for at in times if at >= times[-1] - window]
    every = sorted(
        (*first.sequences, *second.sequences), key=lambda sequence: (sequence.opened_at, -sequence.deadline.timestamp())
    )
    for sequence in every:
        if merged.closed_at is not None and sequence.opened_at <= merged.closed_at:
            continue
        if not merged.sequences or merged.sequences[-1].deadline < sequence.opened_at:
            merged.sequences.append(sequence)
        elif sequence.deadline != sequence.opened_at + window:  # a restart event has moved it on
            restart(merged, sequence.deadline - window, window)
    return merged
