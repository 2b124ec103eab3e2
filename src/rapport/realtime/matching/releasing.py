"""Letting firings out: event 11 for outside channels, messages to be sent for our own; and ending those that stay."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.audiences import service as audiences
from rapport.campaigns import service as campaigns
from rapport.channels.service import Channel
from rapport.channels.service import channels as channels_of
from rapport.conditions.outcomes import Outcome
from rapport.customers import service as customers
from rapport.delivery import service as delivery
from rapport.delivery.service import Source, State
from rapport.notifications import service as notifications
from rapport.realtime.events.owners import found_out
from rapport.realtime.matching.facts import Needs, load
from rapport.realtime.matching.reach import Fault, Reach, address_attributes, attributes_of
from rapport.realtime.models import Firing
from rapport.realtime.states import FiringState
from rapport.stores.workers.listening import Topic, publish

EVENT = 11
# What becomes of a firing that waited while its trigger was paused or archived.
NOT_ACTIVE: Fault = (Outcome.SKIPPED, "its trigger is not active any more")

# Messages of a firing may be settled at once, of which none sees the others: whoever comes later looks again.
LOCK = text("""
    SELECT id FROM trigger_firings WHERE tenant_id = :tenant_id AND id = ANY(CAST(:ids AS bigint[]))
    ORDER BY id FOR UPDATE
""")
# A firing of which every message is settled: sent when one of them was.
CONCLUDE = text(f"""
    UPDATE trigger_firings AS f
    SET state = '{FiringState.DONE}', finished_at = :now, outcome = settled.outcome, reason = settled.reason
    FROM (
        SELECT source_id,
            CASE WHEN bool_or(state = '{State.SENT}') THEN '{State.SENT}'
                WHEN bool_or(state = '{State.FAILED}') THEN '{State.FAILED}'
                ELSE min(state) END AS outcome,
            CASE WHEN bool_or(state = '{State.SENT}') THEN '' ELSE max(reason) END AS reason
        FROM messages
        WHERE tenant_id = :tenant_id AND source = '{Source.FIRING}' AND source_id = ANY(CAST(:ids AS bigint[]))
        GROUP BY source_id HAVING bool_and(state NOT IN ('{State.PENDING}', '{State.CLAIMED}'))
    ) AS settled
    WHERE f.tenant_id = :tenant_id AND f.id = settled.source_id AND f.state = '{FiringState.SENDING}'
""")  # noqa: S608 - ours


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A firing that goes out now. faults: the channels of its group on which the person cannot be reached."""

    firing_id: int
    campaign: campaigns.Occurrence
    group: int
    customer_id: str
    is_visitor: bool
    parameters: Mapping[str, Any]
    faults: Mapping[int, Fault]

    @property
    def plan(self) -> campaigns.PlannedGroup:
        """The recipient group as the campaign planned it."""
        return self.campaign.plan.group(self.group)


def state_of(
    group: campaigns.PlannedGroup, faults: Mapping[int, Fault], ways: Mapping[int, Channel]
) -> tuple[FiringState, str, str]:
    """State, outcome and reason of a firing of a group as it goes out."""
    reached = [one.channel_id for one in group.channels if one.channel_id not in faults]
    if any(not ways[channel_id].behaviour.is_pulled for channel_id in reached):
        return FiringState.SENDING, "", ""
    if reached:
        return FiringState.DONE, Outcome.SENT, ""
    return (FiringState.DONE, *min(faults.values(), default=(Outcome.SENT, "")))


def release(scope: Scope, session: Session, firing_ids: Sequence[int]) -> None:
    """Let firings out that waited for a verdict, in the caller's transaction; those that do not wait stay.

    Those of a trigger that is not active any more are skipped.
    Whether persons may be written to and can be reached is looked at again, of visitors also as the customers that they
    turned out to be; who cannot any more ends with the reason.
    """
    wanted = select(Firing).where(
        Firing.tenant_id == scope.tenant_id, Firing.id.in_(firing_ids), Firing.state == FiringState.ASKING
    )
    waiting = list(session.scalars(wanted.order_by(Firing.id).with_for_update()))
    active = campaigns.active_triggers(scope)
    for one in waiting:
        if one.series_id not in active:
            one.state, one.finished_at, (one.outcome, one.reason) = FiringState.DONE, scope.clock.now(), NOT_ACTIVE
    let_go(scope, session, [one for one in waiting if one.series_id in active])


def let_go(scope: Scope, session: Session, waiting: Sequence[Firing]) -> None:
    """Let out firings that are held in the caller's transaction; of whom nothing may go to any more they end."""
    if not waiting:
        return
    days = {one.id: one for one in campaigns.of_ids(scope, sorted({one.campaign_id for one in waiting}))}
    plans = {one.id: days[one.campaign_id].plan.group(one.recipient_group_id) for one in waiting}
    known = found_out(scope, session, waiting)
    used = {number: day.plan.channel_ids for number, day in days.items()}
    reach = _reach(scope, waiting, known, set().union(*used.values()))
    waiting = [one for one in waiting if not _is_flagged(scope, one, known, reach, used[one.campaign_id])]
    faults_of = _faults(scope, session, waiting, known, plans, reach)
    outgoing = []
    for one in waiting:
        faults = faults_of[one.id]
        one.state, one.outcome, one.reason = state_of(plans[one.id], faults, reach.channels)
        one.finished_at = scope.clock.now() if one.state == FiringState.DONE else None
        group, who = one.recipient_group_id, one.customer_id
        outgoing.append(Outgoing(one.id, days[one.campaign_id], group, who, one.is_visitor, one.parameters, faults))
    session.flush()
    let_out(scope, session, outgoing, reach.channels)


def _is_flagged(scope: Scope, one: Firing, known: Mapping[str, str], reach: Reach, channel_ids: set[int]) -> bool:
    """Whether nothing of the campaign, on these channels, may go to the person by now; the firing has ended then."""
    fault = reach.refused(known[one.person].lower() if one.person in known else one.person, channel_ids)
    if fault:
        one.state, one.finished_at, (one.outcome, one.reason) = FiringState.DONE, scope.clock.now(), fault
    return bool(fault)


def _faults(
    scope: Scope,
    session: Session,
    waiting: Sequence[Firing],
    known: Mapping[str, str],
    plans: Mapping[int, campaigns.PlannedGroup],
    reach: Reach,
) -> dict[int, dict[int, Fault]]:
    """On which channels firings cannot go out: the person cannot be reached, or somebody else has had its address."""
    found = {one.id: reach.faults(one.person, plans[one.id]) for one in waiting}
    for one in waiting:
        if customer := known.get(one.person):
            found[one.id] = {**reach.faults(customer.lower(), plans[one.id]), **found[one.id]}
    going = [
        delivery.Going(one.campaign_id, one.person, reach.addresses(one.person, plans[one.id], found[one.id]))
        for one in waiting
    ]
    late = delivery.take_addresses(scope, session, going)
    return {one.id: {**found[one.id], **same} for one, same in zip(waiting, late, strict=True)}


def _reach(scope: Scope, waiting: Sequence[Firing], known: Mapping[str, str], channel_ids: set[int]) -> Reach:
    """Where the persons of firings can be reached now."""
    forbidding = customers.forbidding(scope)
    found = Reach({one.id: one for one in channels_of(scope)}, customers.consents(scope), forbidding)
    found.kept_back = campaigns.kept_back_on(scope, scope.today(), address_attributes(found.channels))
    ids = [*(one.customer_id for one in waiting if not one.is_visitor), *known.values()]
    needs = Needs()
    needs.attributes |= attributes_of(found.channels, channel_ids) | {*forbidding}
    found.known = load(scope, audiences.schema(scope), scope.data_date(), ids, needs, scope.today())
    found.ask(scope, channel_ids, ids)
    return found


def let_out(scope: Scope, session: Session, outgoing: Sequence[Outgoing], ways: Mapping[int, Channel]) -> None:
    """Enter the messages of firings and tell event 11, in the transaction that has made or released them."""
    entries, told = [], []
    for firing in outgoing:
        for place in firing.plan.channels:
            channel_id = place.channel_id
            entries.append(_entry(firing, place, ways))
            if channel_id not in firing.faults and ways[channel_id].behaviour.is_pulled:
                key = f"{EVENT}:{firing.firing_id}:{channel_id}"
                told.append(notifications.Notification(_payload(firing, place), key, channel_id))
    delivery.enter(scope, session, Source.FIRING, entries)
    notifications.notify_many(scope, session, EVENT, told)


def wake(session: Session) -> None:
    """Tell whoever asks gateways, when this commits."""
    publish(session, Topic.FIRINGS)


def _entry(firing: Outgoing, place: campaigns.PlannedChannel, ways: Mapping[int, Channel]) -> delivery.Entry:
    """A message of a firing; an external channel's is sent when event 11 is on its way to listeners."""
    channel_id = place.channel_id
    sent = State.SENT if ways[channel_id].behaviour.is_pulled else State.PENDING
    state, reason = firing.faults.get(channel_id) or (sent, "")
    return delivery.Entry(
        source_id=firing.firing_id,
        channel_id=channel_id,
        customer_id="" if firing.is_visitor else firing.customer_id,
        recipient_group_id=firing.group,
        template_id=place.template_id,
        action_id=firing.plan.action_id,
        promo_code=",".join(firing.plan.promo_codes or ()),
        state=State(state),
        reason=reason,
    )


def _payload(one: Outgoing, place: campaigns.PlannedChannel) -> dict[str, Any]:
    """Event 11 as the reference has it; parameters of the event stand in it with a prefix."""
    return {
        "campaignID": one.campaign.id,
        "channelID": place.channel_id,
        "templateID": place.template_id,
        "customerID": one.customer_id,
        "promoCode": list(one.plan.promo_codes or ()),
        "notes": one.campaign.notes,
        "actionID": one.plan.action_id,
        "tags": one.campaign.tags,
        "isVisitor": one.is_visitor,
        **{f"event_{name}": value for name, value in one.parameters.items()},
    }


def conclude(scope: Scope, session: Session, firing_ids: Iterable[int]) -> None:
    """End those firings of which every message is settled; the others stay as they are."""
    bound = {"tenant_id": scope.tenant_id, "ids": list(firing_ids), "now": scope.clock.now()}
    session.execute(LOCK, bound)
    session.execute(CONCLUDE, bound)


def refuse(scope: Scope, session: Session, firing_id: int, outcome: str, reason: str) -> None:
    """End a firing that is not to go out; one that has gone out or ended stays as it is."""
    found = session.get(Firing, firing_id, with_for_update=True)
    if (
        found is None
        or found.tenant_id != scope.tenant_id
        or found.state in (FiringState.SENDING, FiringState.DONE, FiringState.FILED)
    ):
        return
    found.state, found.outcome, found.reason = FiringState.DONE, outcome, reason[:300]
    found.finished_at = scope.clock.now()


def scheduled_time(scope: Scope, fired_at: datetime, due_at: datetime | None) -> datetime:
    """The wall-clock time of the tenant at which a firing went or was to go out, to the second."""
    return (due_at or fired_at).astimezone(scope.time_zone).replace(tzinfo=None, microsecond=0)
