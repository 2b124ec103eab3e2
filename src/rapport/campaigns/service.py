"""What other packages may ask of campaigns."""

from rapport.campaigns.asking import Answer, CustomerOutcome, outcome_rows, reason_counts, why
from rapport.campaigns.clearance import Clearance, clearance, report
from rapport.campaigns.closing import counts_of
from rapport.campaigns.control import cancel, confirm, one_time, run_now
from rapport.campaigns.cycles import CycleResult, cycles
from rapport.campaigns.cycles import result as cycle
from rapport.campaigns.cycles import row as cycle_row
from rapport.campaigns.definitions import (
    action,
    actions,
    all_series,
    archive_action,
    body_of,
    create_action,
    create_series,
    next_runs,
    series,
    set_status,
    update_action,
    update_series,
)
from rapport.campaigns.erasure import held, purge
from rapport.campaigns.interactions import INTERACTIONS, ReportedInteraction, add_interactions
from rapport.campaigns.metrics import METRICS, PlaceMetrics, ReportedMetric, set_metrics
from rapport.campaigns.occurrences import channel_rows, occurrence, occurrences
from rapport.campaigns.promotions import add_promotions, delete_promotions, promotions
from rapport.campaigns.results import Results, results
from rapport.campaigns.scheduler import start_scheduler
from rapport.campaigns.scheduler import stop as stop_scheduler
from rapport.campaigns.schemas import (
    ActionBody,
    ActionOut,
    FrequencyCap,
    Group,
    GroupChannel,
    OneTimeBody,
    Rules,
    Schedule,
    SeriesBody,
    SeriesOut,
)
from rapport.campaigns.tasks import execute_due, run_cycle, start_cycle

__all__ = [
    "INTERACTIONS",
    "METRICS",
    "ActionBody",
    "ActionOut",
    "Answer",
    "Clearance",
    "CustomerOutcome",
    "CycleResult",
    "FrequencyCap",
    "Group",
    "GroupChannel",
    "OneTimeBody",
    "PlaceMetrics",
    "ReportedInteraction",
    "ReportedMetric",
    "Results",
    "Rules",
    "Schedule",
    "SeriesBody",
    "SeriesOut",
    "action",
    "actions",
    "add_interactions",
    "add_promotions",
    "all_series",
    "archive_action",
    "body_of",
    "cancel",
    "channel_rows",
    "clearance",
    "confirm",
    "counts_of",
    "create_action",
    "create_series",
    "cycle",
    "cycle_row",
    "cycles",
    "delete_promotions",
    "execute_due",
    "held",
    "next_runs",
    "occurrence",
    "occurrences",
    "one_time",
    "outcome_rows",
    "promotions",
    "purge",
    "reason_counts",
    "report",
    "results",
    "run_cycle",
    "run_now",
    "series",
    "set_metrics",
    "set_status",
    "start_cycle",
    "start_scheduler",
    "stop_scheduler",
    "update_action",
    "update_series",
    "why",
]
