"""What other packages may ask of campaigns."""

from rapport.campaigns.addressed import in_running, scheduled_messages, series_of
from rapport.campaigns.asking import Answer, CustomerOutcome, outcome_rows, reason_counts, why, words_of
from rapport.campaigns.attribute_uses import delete_attribute, retype_attribute
from rapport.campaigns.bounces import note as note_failed
from rapport.campaigns.clearance import Clearance, clearance, report
from rapport.campaigns.closing import counts_of
from rapport.campaigns.control import cancel, confirm, one_time, run_now
from rapport.campaigns.cycles import CycleResult, cycles
from rapport.campaigns.cycles import result as cycle
from rapport.campaigns.cycles import row as cycle_row
from rapport.campaigns.daily import run_cycle, start_cycle
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
    series_warnings,
    set_status,
    update_action,
    update_series,
)
from rapport.campaigns.dry_runs import DryRun, WouldNotReach, WouldReach, dry_run
from rapport.campaigns.engagements import read_file as engagement_file
from rapport.campaigns.erasure import is_busy
from rapport.campaigns.exports import Export, Period, export_interactions, export_outcomes
from rapport.campaigns.filed_firings import FiringOutcome, FiringRecipient, add_filed
from rapport.campaigns.hold_out import KeptBack, check_change, is_held_out, kept_back_on
from rapport.campaigns.interactions import (
    INTERACTIONS,
    ReportedInteraction,
    add_interactions,
    check_interaction_date,
)
from rapport.campaigns.measuring import leaving, measure
from rapport.campaigns.metrics import METRICS, PlaceMetrics, ReportedMetric, set_metrics
from rapport.campaigns.models import ARCHIVED, CONTROL_ACTION_ID, Occurrence, Series
from rapport.campaigns.occurrences import channel_rows, occurrence, occurrences
from rapport.campaigns.once import Going
from rapport.campaigns.once import forget as forget_addresses
from rapport.campaigns.once import refused as take_addresses
from rapport.campaigns.personal import PERSONAL_DATA
from rapport.campaigns.planned import planned, planned_trigger
from rapport.campaigns.power import Detectable
from rapport.campaigns.programme import ProgrammeResults, programme_results
from rapport.campaigns.promotions import add_promotions, delete_promotions, promotions
from rapport.campaigns.quiet import held_until, quiet_until
from rapport.campaigns.received import Received, tells_unfiled
from rapport.campaigns.result_rows import export_results
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
    PlainGoal,
    PromoCode,
    Rules,
    Schedule,
    SeriesBody,
    SeriesOut,
    SeriesRules,
)
from rapport.campaigns.segment_names import change_stages, define_value_segments
from rapport.campaigns.series_results import SeriesResults, series_results
from rapport.campaigns.settings import HoldOut, settings_of
from rapport.campaigns.splits import cuts, hashed_part
from rapport.campaigns.summary import Summary, summary
from rapport.campaigns.tasks import execute_due
from rapport.campaigns.trigger_days import (
    Filed,
    add_to_day,
    close_day,
    end_date,
    occurrence_of_day,
    of_ids,
    open_days,
    planned_day,
)
from rapport.campaigns.trigger_sentences import triggered_sentence
from rapport.campaigns.triggered import (
    active_triggers,
    check_event_change,
    check_events,
    create_triggered,
    event_schema,
    set_triggered_status,
    triggered,
    triggered_body,
    triggered_series,
    triggered_warnings,
    update_triggered,
)
from rapport.campaigns.triggers import (
    EventMatch,
    QuietHours,
    ReEntry,
    RepeatedTrigger,
    SequenceTrigger,
    TriggeredBody,
    TriggeredOut,
)
from rapport.campaigns.unsubscribing import unsubscribe
from rapport.campaigns.webhooks import Hook, delete_webhook, set_webhook, webhook

__all__ = [
    "ARCHIVED",
    "CONTROL_ACTION_ID",
    "INTERACTIONS",
    "METRICS",
    "PERSONAL_DATA",
    "ActionBody",
    "ActionOut",
    "Answer",
    "Clearance",
    "CustomerOutcome",
    "CycleResult",
    "Detectable",
    "DryRun",
    "EventMatch",
    "Export",
    "Filed",
    "FiringOutcome",
    "FiringRecipient",
    "FrequencyCap",
    "Going",
    "Group",
    "GroupChannel",
    "HoldOut",
    "Hook",
    "KeptBack",
    "Occurrence",
    "OneTimeBody",
    "Period",
    "PlaceMetrics",
    "PlainGoal",
    "ProgrammeResults",
    "PromoCode",
    "QuietHours",
    "ReEntry",
    "Received",
    "RepeatedTrigger",
    "ReportedInteraction",
    "ReportedMetric",
    "Results",
    "Rules",
    "Schedule",
    "SequenceTrigger",
    "Series",
    "SeriesBody",
    "SeriesOut",
    "SeriesResults",
    "SeriesRules",
    "Summary",
    "TriggeredBody",
    "TriggeredOut",
    "WouldNotReach",
    "WouldReach",
    "action",
    "actions",
    "active_triggers",
    "add_filed",
    "add_interactions",
    "add_promotions",
    "add_to_day",
    "all_series",
    "archive_action",
    "body_of",
    "cancel",
    "change_stages",
    "channel_rows",
    "check_change",
    "check_event_change",
    "check_events",
    "check_interaction_date",
    "clearance",
    "close_day",
    "confirm",
    "counts_of",
    "create_action",
    "create_series",
    "create_triggered",
    "cuts",
    "cycle",
    "cycle_row",
    "cycles",
    "define_value_segments",
    "delete_attribute",
    "delete_promotions",
    "delete_webhook",
    "dry_run",
    "end_date",
    "engagement_file",
    "event_schema",
    "execute_due",
    "export_interactions",
    "export_outcomes",
    "export_results",
    "forget_addresses",
    "hashed_part",
    "held_until",
    "in_running",
    "is_busy",
    "is_held_out",
    "kept_back_on",
    "leaving",
    "measure",
    "next_runs",
    "note_failed",
    "occurrence",
    "occurrence_of_day",
    "occurrences",
    "of_ids",
    "one_time",
    "open_days",
    "outcome_rows",
    "planned",
    "planned_day",
    "planned_trigger",
    "programme_results",
    "promotions",
    "quiet_until",
    "reason_counts",
    "report",
    "results",
    "retype_attribute",
    "run_cycle",
    "run_now",
    "scheduled_messages",
    "series",
    "series_of",
    "series_results",
    "series_warnings",
    "set_metrics",
    "set_status",
    "set_triggered_status",
    "set_webhook",
    "settings_of",
    "start_cycle",
    "start_scheduler",
    "stop_scheduler",
    "summary",
    "take_addresses",
    "tells_unfiled",
    "triggered",
    "triggered_body",
    "triggered_sentence",
    "triggered_series",
    "triggered_warnings",
    "unsubscribe",
    "update_action",
    "update_series",
    "update_triggered",
    "webhook",
    "why",
    "words_of",
]
