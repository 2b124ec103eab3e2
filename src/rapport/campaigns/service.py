"""What other packages may ask of campaigns."""

from rapport.campaigns.control import cancel, confirm, one_time, run_now
from rapport.campaigns.cycles import CycleResult, cycles
from rapport.campaigns.cycles import result as cycle
from rapport.campaigns.definitions import (
    action,
    actions,
    all_series,
    archive_action,
    create_action,
    create_series,
    next_runs,
    series,
    set_status,
    update_action,
    update_series,
)
from rapport.campaigns.occurrences import channel_rows, occurrence, occurrences
from rapport.campaigns.schemas import (
    ActionBody,
    FrequencyCap,
    Group,
    GroupChannel,
    OneTimeBody,
    Rules,
    Schedule,
    SeriesBody,
)
from rapport.campaigns.tasks import execute_due, run_cycle, start_cycle

__all__ = [
    "ActionBody",
    "CycleResult",
    "FrequencyCap",
    "Group",
    "GroupChannel",
    "OneTimeBody",
    "Rules",
    "Schedule",
    "SeriesBody",
    "action",
    "actions",
    "all_series",
    "archive_action",
    "cancel",
    "channel_rows",
    "confirm",
    "create_action",
    "create_series",
    "cycle",
    "cycles",
    "execute_due",
    "next_runs",
    "occurrence",
    "occurrences",
    "one_time",
    "run_cycle",
    "run_now",
    "series",
    "set_status",
    "start_cycle",
    "update_action",
    "update_series",
]
