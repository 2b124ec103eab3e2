"""What the process and the API may ask of real time: its workers, the intake, visitors, erasure."""

from typing import Protocol

from rapport.realtime.asking import Decider
from rapport.realtime.chores import leaving, measure
from rapport.realtime.events.credentials import end_again
from rapport.realtime.events.directory import Directory, Known
from rapport.realtime.events.intake import Accepted, Incoming, Intake, LogEntry
from rapport.realtime.events.pacing import Pace
from rapport.realtime.events.visitors import customer_of, customers_named, person_of
from rapport.realtime.matching.dry_runs import TriggerDryRun, dry_run
from rapport.realtime.matching.eligibility import Eligibility, eligibility
from rapport.realtime.matching.firings import firings
from rapport.realtime.matching.processor import Processor
from rapport.realtime.matching.trials import Trial, try_event
from rapport.realtime.matching.triggers import faults as trigger_faults
from rapport.realtime.personal import PERSONAL_DATA
from rapport.realtime.recording.details import warn_of_nothing
from rapport.realtime.recording.filer import Filer
from rapport.realtime.sending import Sender
from rapport.stores import Stores

__all__ = [
    "PERSONAL_DATA",
    "Accepted",
    "Directory",
    "Eligibility",
    "Incoming",
    "Intake",
    "Known",
    "LogEntry",
    "Pace",
    "Trial",
    "TriggerDryRun",
    "customer_of",
    "customers_named",
    "dry_run",
    "eligibility",
    "end_again",
    "firings",
    "leaving",
    "measure",
    "person_of",
    "start",
    "stop",
    "trigger_faults",
    "try_event",
    "warn_of_nothing",
]


class Worker(Protocol):
    """A thread or several that work until they are stopped."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End, after what is under way."""


_running: list[Worker] = []


def workers(stores: Stores) -> list[Worker]:
    """Whoever works in a process of the role worker."""
    return [Processor(stores), Decider(stores), Sender(stores), Filer(stores)]


def start(stores: Stores) -> None:
    """Work in this process from now on."""
    if not _running:
        _running.extend(workers(stores))
        for one in _running:
            one.start()


def stop() -> None:
    """Stop the workers of this process; what is under way ends first."""
    for one in reversed(_running):
        one.stop()
    _running.clear()
