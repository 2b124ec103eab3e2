"""Letting firings out: event 11 for outside channels, messages to be sent for our own; and ending those that stay."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.audiences import schema
from rapport.audiences.facts import Needs, load
from rapport.campaigns.plans import PlannedChannel, PlannedGroup
from rapport.campaigns.runs import hold_out
from rapport.campaigns.triggered import definitions, runs
from rapport.channels.models import Channel
from rapport.channels.service import channels as channels_of
from rapport.conditions.outcomes import Outcome
from rapport.customers import attributes, consent
from rapport.delivery import once, outbox
from rapport.delivery.content import NO_CODE
from rapport.delivery.models import Source, State
from rapport.delivery.once import Recipient
from rapport.delivery.outbox import Entry
from rapport.notifications import service as notifications
from rapport.realtime.events.owners import found_out
from rapport.realtime.matching import own_codes, rewarding
from rapport.realtime.matching.outgoing import Outgoing
from rapport.realtime.matching.reachability import Fault, Reach, address_attributes, attributes_of
from rapport.realtime.models import Firing
from rapport.realtime.states import FiringState
from rapport.redemptions import published
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
    UPDATE trigger_firings AS firings
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
    WHERE firings.tenant_id = :tenant_id AND firings.id = settled.source_id AND firings.state = '{FiringState.SENDING}'
    RETURNING firings.id, firings.outcome, firings.rewards IS NOT NULL AS is_rewarded
""")  # noqa: S608 - ours


def state_of(
    group: PlannedGroup, faults: Mapping[int, Fault], channels: Mapping[int, Channel]
) -> tuple[FiringState, str, str]:
    """State, outcome and reason of a firing of a group as it goes out."""
    reached = [channel.channel_id for channel in group.channels if channel.channel_id not in faults]
    if any(not channels[channel_id].behaviour.is_pulled for channel_id in reached):
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
    query = select(Firing).where(
        Firing.tenant_id == scope.tenant_id, Firing.id.in_(firing_ids), Firing.state == FiringState.ASKING
    )
    waiting = list(session.scalars(query.order_by(Firing.id).with_for_update()))
    active = definitions.active_triggers(scope)
    for firing in waiting:
        if firing.series_id not in active:
            firing.state, firing.finished_at = FiringState.DONE, scope.clock.now()
            firing.outcome, firing.reason = NOT_ACTIVE
    let_go(scope, session, [firing for firing in waiting if firing.series_id in active])


def let_go(scope: Scope, session: Session, waiting: Sequence[Firing]) -> None:
    """Let out firings that are held in the caller's transaction; of whom nothing may go to any more they end."""
    if not waiting:
        return
    days = {
        campaign.id: campaign
        for campaign in runs.occurrences_by_id(scope, sorted({firing.campaign_id for firing in waiting}))
    }
    plans = {firing.id: days[firing.campaign_id].plan.group(firing.recipient_group_id) for firing in waiting}
    customer_ids = found_out(scope, session, waiting)
    used = {number: day.plan.channel_ids for number, day in days.items()}
    reach = _reach(scope, waiting, customer_ids, set().union(*used.values()))
    waiting = [
        firing for firing in waiting if not _is_flagged(scope, firing, customer_ids, reach, used[firing.campaign_id])
    ]
    faults_of = _faults(scope, session, waiting, customer_ids, plans, reach)
    outgoing = []
    for firing in waiting:
        faults = faults_of[firing.id]
        firing.state, firing.outcome, firing.reason = state_of(plans[firing.id], faults, reach.channels)
        firing.finished_at = scope.clock.now() if firing.state == FiringState.DONE else None
        group, customer_id = firing.recipient_group_id, firing.customer_id
        outgoing.append(
            Outgoing(
                firing.id, days[firing.campaign_id], group, customer_id, firing.is_visitor, firing.parameters, faults
            )
        )
    session.flush()
    let_out(scope, session, outgoing, reach.channels)


def _is_flagged(
    scope: Scope, firing: Firing, customer_ids: Mapping[str, str], reach: Reach, channel_ids: set[int]
) -> bool:
    """Whether nothing of the campaign, on these channels, may go to the person by now; the firing has ended then."""
    fault = reach.refused(
        customer_ids[firing.person].lower() if firing.person in customer_ids else firing.person, channel_ids
    )
    if fault:
        firing.state, firing.finished_at, (firing.outcome, firing.reason) = FiringState.DONE, scope.clock.now(), fault
    return bool(fault)


def _faults(
    scope: Scope,
    session: Session,
    waiting: Sequence[Firing],
    customer_ids: Mapping[str, str],
    plans: Mapping[int, PlannedGroup],
    reach: Reach,
) -> dict[int, dict[int, Fault]]:
    """On which channels firings cannot go out: the person cannot be reached, or somebody else has had its address."""
    faults = {
        firing.id: reach.faults(firing.person, plans[firing.id], customer_ids.get(firing.person, "").lower())
        for firing in waiting
    }
    going = [
        Recipient(
            firing.campaign_id, firing.person, reach.addresses(firing.person, plans[firing.id], faults[firing.id])
        )
        for firing in waiting
    ]
    late = once.refused(scope, session, going)
    return {firing.id: {**faults[firing.id], **same} for firing, same in zip(waiting, late, strict=True)}


def _reach(scope: Scope, waiting: Sequence[Firing], customer_ids: Mapping[str, str], channel_ids: set[int]) -> Reach:
    """Where the persons of firings can be reached now."""
    forbidding = attributes.forbidding(scope)
    reach = Reach({channel.id: channel for channel in channels_of(scope)}, consent.consents(scope), forbidding)
    reach.kept_back = hold_out.active_hold_out(scope, scope.today(), address_attributes(reach.channels))
    ids = [*(firing.customer_id for firing in waiting if not firing.is_visitor), *customer_ids.values()]
    needs = Needs()
    needs.attributes |= attributes_of(reach.channels, channel_ids) | {*forbidding}
    reach.customers = load(scope, schema.schema(scope), scope.data_date(), ids, needs, scope.today())
    reach.ask(scope, channel_ids, ids)
    return reach


def let_out(scope: Scope, session: Session, outgoing: Sequence[Outgoing], channels: Mapping[int, Channel]) -> None:
    """Enter the messages of firings and tell event 11, in the transaction that has made or released them.

    A transaction calls it once. Firings whose customers promotions grant nothing end as refused.
    """
    outgoing = rewarding.rewarded(scope, session, outgoing)
    handed = [
        (firing, channel)
        for firing in outgoing
        for channel in firing.plan.channels
        if channel.channel_id not in firing.faults and channels[channel.channel_id].behaviour.is_pulled
    ]
    codes = own_codes.allocate(scope, session, handed)
    uncoded = {place for place, of_message in codes.items() if of_message is None}
    entries = [
        _entry(firing, channel, channels, (firing.firing_id, channel.channel_id) in uncoded)
        for firing in outgoing
        for channel in firing.plan.channels
    ]
    notified = [
        notifications.Notification(
            _payload(firing, channel, of_message),
            f"{EVENT}:{firing.firing_id}:{channel.channel_id}",
            channel.channel_id,
        )
        for firing, channel in handed
        if (of_message := codes[firing.firing_id, channel.channel_id]) is not None
    ]
    outbox.enter(scope, session, Source.FIRING, entries)
    notifications.notify_many(scope, session, EVENT, notified)
    if uncoded:
        firing_ids = sorted({firing_id for firing_id, _ in uncoded})
        own_codes.reopen(scope, session, firing_ids)
        conclude(scope, session, firing_ids)


def wake(session: Session) -> None:
    """Tell whoever asks gateways, when this commits."""
    publish(session, Topic.FIRINGS)


def _entry(firing: Outgoing, channel: PlannedChannel, channels: Mapping[int, Channel], is_uncoded: bool) -> Entry:
    """A message of a firing; an external channel's is sent when event 11 is on its way to listeners."""
    channel_id = channel.channel_id
    if channel_id in firing.faults:  # the channel may be gone
        state, reason = firing.faults[channel_id]
    elif is_uncoded:
        state, reason = State.FAILED, NO_CODE
    else:
        state, reason = State.SENT if channels[channel_id].behaviour.is_pulled else State.PENDING, ""
    return Entry(
        source_id=firing.firing_id,
        channel_id=channel_id,
        customer_id=firing.message_to,
        recipient_group_id=firing.group,
        template_id=channel.template_id,
        action_id=firing.plan.action_id,
        promo_code=firing.promo_codes,
        state=State(state),
        reason=reason,
    )


def _payload(firing: Outgoing, channel: PlannedChannel, codes: Sequence[str]) -> dict[str, Any]:
    """Event 11 as the reference has it, with rewards where there are some; parameters of the event have a prefix."""
    return {
        "campaignID": firing.campaign.id,
        "channelID": channel.channel_id,
        "templateID": channel.template_id,
        "customerID": firing.customer_id,
        "promoCode": list(codes),
        "notes": firing.campaign.notes,
        "actionID": firing.plan.action_id,
        "tags": firing.campaign.tags,
        "isVisitor": firing.is_visitor,
        **({"rewards": dict(firing.rewards)} if firing.rewards else {}),
        **{f"event_{name}": value for name, value in firing.parameters.items()},
    }


def conclude(scope: Scope, session: Session, firing_ids: Iterable[int]) -> None:
    """End those firings of which every message is settled; the others stay as they are.

    Budgets of promotions get back the rewards of those of which nothing was sent.
    """
    parameters = {"tenant_id": scope.tenant_id, "ids": list(firing_ids), "now": scope.clock.now()}
    session.execute(LOCK, parameters)
    ended = session.execute(CONCLUDE, parameters).all()
    unsent = [firing.id for firing in ended if firing.is_rewarded and firing.outcome != Outcome.SENT]
    published.take_back_of_firings(scope, session, unsent)


def refuse(scope: Scope, session: Session, firing_id: int, outcome: str, reason: str) -> None:
    """End a firing that is not to go out; one that has gone out or ended stays as it is."""
    firing = session.get(Firing, firing_id, with_for_update=True)
    if (
        firing is None
        or firing.tenant_id != scope.tenant_id
        or firing.state in (FiringState.SENDING, FiringState.DONE, FiringState.FILED)
    ):
        return
    firing.state, firing.outcome, firing.reason = FiringState.DONE, outcome, reason[:300]
    firing.finished_at = scope.clock.now()


def scheduled_time(scope: Scope, fired_at: datetime, due_at: datetime | None) -> datetime:
    """The wall-clock time of the tenant at which a firing went or was to go out, to the second."""
    return (due_at or fired_at).astimezone(scope.time_zone).replace(tzinfo=None, microsecond=0)
