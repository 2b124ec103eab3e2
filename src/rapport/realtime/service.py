"""What the process and the API may ask of real time: its workers, the intake, visitors, erasure."""

from rapport.realtime.events.credentials import end_again
from rapport.realtime.events.directory import Directory, IntakeTenant
from rapport.realtime.events.intake import Accepted, Incoming, Intake, LogEntry
from rapport.realtime.events.pacing import EventRateLimiter
from rapport.realtime.events.visitors import customer_of, customers_named, person_of
from rapport.realtime.gateway_worker import Decider
from rapport.realtime.matching.catalogue import faults as trigger_faults
from rapport.realtime.matching.dry_runs import TriggerDryRun, dry_run
from rapport.realtime.matching.eligibility import Eligibility, eligibility
from rapport.realtime.matching.firings import firings
from rapport.realtime.matching.processor import Processor
from rapport.realtime.matching.trials import Trial, try_event
from rapport.realtime.personal import PERSONAL_DATA
from rapport.realtime.recording.profile_updates import warn_of_nothing
from rapport.realtime.recording.warehouse_writer import Filer
from rapport.realtime.retention import leaving, measure
from rapport.realtime.sending import Sender
from rapport.realtime.states import FiringState
from rapport.stores import Stores
from rapport.stores.workers.base import Worker

__all__ = [
    "PERSONAL_DATA",
    "Accepted",
    "Directory",
    "Eligibility",
    "EventRateLimiter",
    "FiringState",
    "Incoming",
    "Intake",
    "IntakeTenant",
    "LogEntry",
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
    "trigger_faults",
    "try_event",
    "warn_of_nothing",
    "workers",
]


def workers(stores: Stores) -> list[Worker]:
    """Whoever works in a process of the role worker."""
    return [Processor(stores), Decider(stores), Sender(stores), Filer(stores)]
