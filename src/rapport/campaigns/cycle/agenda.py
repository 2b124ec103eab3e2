"""What comes due next: one statement over all tenants, whatever their number."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import structlog
from sqlalchemy import String, cast, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_from
from rapport.access.tenant_settings import tenant_settings
from rapport.campaigns.delivery import due_units, handing_over
from rapport.campaigns.models import Cycle, Occurrence, OccurrenceChannel
from rapport.campaigns.publishing import publisher
from rapport.campaigns.runs import clearance_deadline
from rapport.campaigns.settings import CampaignSettings
from rapport.campaigns.states import CycleState
from rapport.stores import Stores

log = structlog.get_logger("rapport.scheduler")

DAY = timedelta(days=1)
# What is to be begun of a tenant, each by itself: its day, its sends and what goes before them, word of what is late.
CYCLE, SENDS, ALARM = "cycle", "sends", "alarm"
AT_ONCE = datetime.min.replace(tzinfo=UTC)
# Days whose cycles are asked about: "yesterday" of every time zone is among them.
ASKED = timedelta(days=3)


@dataclass(frozen=True)
class Agenda:
    """When which act of a tenant is due: an instant in UTC, which may be over. Acts that nothing waits for are absent.

    The day is that of data_date, the newest that is over; day_state is the state of its cycle, empty before it, and
    ready_at when its data are to be complete.
    """

    scope: Scope
    data_date: date
    day_state: str
    ready_at: datetime
    published: date | None
    due: dict[str, datetime]

    @property
    def is_late(self) -> bool:
        """Whether the day has not begun although it is more than the tenant's patience over its time."""
        late_at = self.ready_at + timedelta(minutes=tenant_settings(self.scope, CampaignSettings).late_minutes)
        return self.published is not None and not self.day_state and self.scope.clock.now() >= late_at


def ready_at(scope: Scope, data_date: date) -> datetime:
    """The instant at which a date's data are to be complete: the readiness time (UTC) after the date's end."""
    clock_time = time.fromisoformat(tenant_settings(scope, CampaignSettings).data_ready_time)
    end = scope.instant(datetime.combine(data_date + DAY, time()))
    ready = datetime.combine(end.date(), clock_time, UTC)
    return ready if ready >= end else ready + DAY


def agendas(stores: Stores) -> list[Agenda]:
    """The agenda of every tenant. One whose settings or time zone cannot be read is logged and left out."""
    with stores.records.reading() as connection:
        rows = connection.execute(_statement(stores.clock.now().date() - ASKED)).all()
    readable = []
    for row in rows:
        try:
            readable.append(_agenda(stores, row))
        except Exception:  # whatever it is, the other tenants' time goes on
            log.exception("the schedule of a tenant cannot be read", tenant_id=row.id)
    return readable


def _statement(since: date) -> Any:
    """A row a tenant: itself, the states of its newest days, and what waits for a time."""
    last_state = aggregate_order_by(Cycle.state, Cycle.run)  # of several runs of a day the last one stays
    days = select(func.jsonb_object_agg(cast(Cycle.data_date, String), last_state))
    days = days.where(Cycle.tenant_id == Tenant.id, Cycle.data_date >= since)
    undecided = clearance_deadline.undecided(Tenant.id).with_only_columns(func.min(Occurrence.clearance_by))
    unsent = due_units.not_begun(Tenant.id).with_only_columns(func.min(OccurrenceChannel.scheduled_time))
    between_rounds = due_units.between_rounds(Tenant.id).where(Occurrence.paused_at.is_(None))
    next_round = between_rounds.with_only_columns(func.min(OccurrenceChannel.waits_until))
    return select(
        *(Tenant.id, Tenant.time_zone, Tenant.currency, Tenant.settings, Tenant.last_data_date),
        days.correlate(Tenant).scalar_subquery().label("days"),
        undecided.correlate(Tenant).scalar_subquery().label("clearance_by"),
        unsent.correlate(Tenant).scalar_subquery().label("send_time"),
        next_round.correlate(Tenant).scalar_subquery().label("next_round_at"),
        handing_over.to_hand_over(Tenant.id).correlate(Tenant).exists().label("to_hand_over"),
        publisher.to_publish(Tenant.id).correlate(Tenant).exists().label("to_publish"),
    ).order_by(Tenant.id)


def _agenda(stores: Stores, row: Any) -> Agenda:
    scope = scope_from(stores, row)
    data_date = scope.today() - DAY
    state = (row.days or {}).get(data_date.isoformat(), "")
    ready = ready_at(scope, data_date)
    patience = timedelta(minutes=tenant_settings(scope, CampaignSettings).late_minutes)
    send_at = scope.instant(row.send_time) if row.send_time else None
    at_once = AT_ONCE if row.to_hand_over or row.to_publish else None
    late = [at for at in (send_at, row.clearance_by, row.next_round_at) if at]
    if row.last_data_date is not None and not state:
        late.append(ready)
    times = {
        CYCLE: _cycle_at(scope, data_date, state, ready),
        SENDS: min((at for at in (send_at, row.next_round_at, row.clearance_by, at_once) if at), default=None),
        ALARM: min(late) + patience if late else None,
    }
    due = {act: at for act, at in times.items() if at is not None}
    return Agenda(scope, data_date, state, ready, row.last_data_date, due)


def _cycle_at(scope: Scope, data_date: date, state: str, ready: datetime) -> datetime:
    """When a tenant's cycle is to be begun.

    One that is running is due, too: it may have been noted but not handed to a worker before a kill.
    """
    if state == CycleState.RUNNING:
        return scope.instant(datetime.combine(data_date + DAY, time()))
    return ready_at(scope, data_date + DAY) if state else ready
