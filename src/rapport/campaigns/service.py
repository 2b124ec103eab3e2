"""What other packages may ask of campaigns."""

from rapport.campaigns.attribute_uses import delete_attribute, retype_attribute
from rapport.campaigns.cycle.cycles import CycleResult, cycles
from rapport.campaigns.cycle.cycles import result as cycle
from rapport.campaigns.cycle.cycles import row as cycle_row
from rapport.campaigns.cycle.daily import run_cycle, start_cycle
from rapport.campaigns.cycle.measuring import measure, pending_sends
from rapport.campaigns.cycle.scheduler import Scheduler
from rapport.campaigns.cycle.tasks import execute_due
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
from rapport.campaigns.delivery.completion import counts_of
from rapport.campaigns.delivery.engagements import read_file as engagement_file
from rapport.campaigns.delivery.filed_firings import FiringOutcome, FiringRecipient, add_filed
from rapport.campaigns.delivery.quiet_hours import held_until, quiet_until
from rapport.campaigns.delivery.unsubscribing import unsubscribe
from rapport.campaigns.delivery.webhooks import ChannelWebhook, delete_webhook, set_webhook, webhook
from rapport.campaigns.erasure import is_busy
from rapport.campaigns.group_uses import archive_target_group
from rapport.campaigns.measurement.exports import Export, Period, export_interactions, export_outcomes
from rapport.campaigns.measurement.interactions import (
    INTERACTIONS,
    ReportedInteraction,
    add_interactions,
    check_interaction_date,
)
from rapport.campaigns.measurement.metrics import METRICS, PlaceMetrics, ReportedMetric, set_metrics
from rapport.campaigns.measurement.planned import planned, planned_trigger
from rapport.campaigns.measurement.power import Detectable
from rapport.campaigns.measurement.programme import ProgrammeResults, programme_results
from rapport.campaigns.measurement.received import Received, tells_unfiled
from rapport.campaigns.measurement.result_rows import export_results
from rapport.campaigns.measurement.results import Results, results
from rapport.campaigns.measurement.series_results import SeriesResults, series_results
from rapport.campaigns.measurement.summary import Summary, summary
from rapport.campaigns.models import CONTROL_ACTION_ID, Occurrence, Series
from rapport.campaigns.occurrences import channel_rows, occurrence, occurrences
from rapport.campaigns.personal import PERSONAL_DATA
from rapport.campaigns.plans import Plan, PlannedChannel, PlannedGroup, PlannedRules, channels_in
from rapport.campaigns.promotions import add_promotions, delete_promotions, promotions
from rapport.campaigns.runs.addressed import in_running, scheduled_messages, series_of
from rapport.campaigns.runs.by_hand import cancel, confirm, one_time, run_now
from rapport.campaigns.runs.clearance import Clearance, clearance, report
from rapport.campaigns.runs.dry_runs import DryRun, WouldNotReach, WouldReach, dry_run
from rapport.campaigns.runs.explanations import Answer, CustomerOutcome, outcome_rows, reason_counts, why, words_of
from rapport.campaigns.runs.hold_out import ActiveHoldOut, active_hold_out, check_change, is_held_out
from rapport.campaigns.runs.splits import CONTROL, GROUP, cut_of, cuts, group_at, trigger_part
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
from rapport.campaigns.settings import CampaignSettings, HoldOut
from rapport.campaigns.states import RunState, SeriesStatus
from rapport.campaigns.triggered.definitions import (
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
from rapport.campaigns.triggered.runs import (
    FiringTotals,
    add_to_day,
    close_day,
    end_date,
    occurrence_of_day,
    occurrences_by_id,
    open_days,
    planned_day,
)
from rapport.campaigns.triggered.schemas import (
    EventMatch,
    QuietHours,
    ReEntry,
    ReEntryRule,
    RepeatedTrigger,
    SequenceTrigger,
    TriggeredBody,
    TriggeredOut,
)
from rapport.campaigns.triggered.sentences import triggered_sentence

__all__ = [
    "CONTROL",
    "CONTROL_ACTION_ID",
    "GROUP",
    "INTERACTIONS",
    "METRICS",
    "PERSONAL_DATA",
    "ActionBody",
    "ActionOut",
    "ActiveHoldOut",
    "Answer",
    "CampaignSettings",
    "ChannelWebhook",
    "Clearance",
    "CustomerOutcome",
    "CycleResult",
    "Detectable",
    "DryRun",
    "EventMatch",
    "Export",
    "FiringOutcome",
    "FiringRecipient",
    "FiringTotals",
    "FrequencyCap",
    "Group",
    "GroupChannel",
    "HoldOut",
    "Occurrence",
    "OneTimeBody",
    "Period",
    "PlaceMetrics",
    "PlainGoal",
    "Plan",
    "PlannedChannel",
    "PlannedGroup",
    "PlannedRules",
    "ProgrammeResults",
    "PromoCode",
    "QuietHours",
    "ReEntry",
    "ReEntryRule",
    "Received",
    "RepeatedTrigger",
    "ReportedInteraction",
    "ReportedMetric",
    "Results",
    "Rules",
    "RunState",
    "Schedule",
    "Scheduler",
    "SequenceTrigger",
    "Series",
    "SeriesBody",
    "SeriesOut",
    "SeriesResults",
    "SeriesRules",
    "SeriesStatus",
    "Summary",
    "TriggeredBody",
    "TriggeredOut",
    "WouldNotReach",
    "WouldReach",
    "action",
    "actions",
    "active_hold_out",
    "active_triggers",
    "add_filed",
    "add_interactions",
    "add_promotions",
    "add_to_day",
    "all_series",
    "archive_action",
    "archive_target_group",
    "body_of",
    "cancel",
    "change_stages",
    "channel_rows",
    "channels_in",
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
    "cut_of",
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
    "group_at",
    "held_until",
    "in_running",
    "is_busy",
    "is_held_out",
    "measure",
    "next_runs",
    "occurrence",
    "occurrence_of_day",
    "occurrences",
    "occurrences_by_id",
    "one_time",
    "open_days",
    "outcome_rows",
    "pending_sends",
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
    "start_cycle",
    "summary",
    "tells_unfiled",
    "trigger_part",
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
