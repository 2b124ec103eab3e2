"""Ended firings into the accounts of their campaigns: recipients and outcomes in the warehouse, sizes in the records.

Rows are written before the firings are marked; a repetition finds by firing what it wrote and leaves it out.
Visitors whom nobody knows are no customers, so they are in the outcomes only, under 'v:' and their id.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, timedelta
from typing import Any

from sqlalchemy import text, update

from rapport.access.scope import Scope
from rapport.campaigns.delivery import filed_firings
from rapport.campaigns.delivery.filed_firings import FiringOutcome, FiringRecipient, FiringRewards
from rapport.campaigns.models import CONTROL_ACTION_ID, Occurrence
from rapport.campaigns.publishing.firings import rewards_in
from rapport.campaigns.triggered import runs
from rapport.campaigns.triggered.runs import FiringTotals
from rapport.conditions.outcomes import Outcome
from rapport.delivery import reading
from rapport.delivery.models import OutboxMessage, Source, State
from rapport.realtime.matching.releasing import scheduled_time
from rapport.realtime.models import Firing
from rapport.realtime.states import FiringState
from rapport.redemptions import allocation

# Whom the campaign addressed or held back for the first time with these firings, by recipient group.
FIRST = text(f"""
    SELECT campaign_id, recipient_group_id, count(*) FROM (
        SELECT DISTINCT firing.campaign_id, firing.recipient_group_id, firing.person FROM trigger_firings AS firing
        WHERE firing.tenant_id = :tenant_id AND firing.id = ANY(CAST(:ids AS bigint[]))
            AND firing.state = '{FiringState.DONE}'
            AND firing.outcome IN ('{Outcome.SENT}', '{Outcome.FAILED}', '{Outcome.CONTROL}') AND NOT firing.is_visitor
                AND NOT EXISTS (
                SELECT 1 FROM trigger_firings AS earlier
                WHERE earlier.tenant_id = firing.tenant_id AND earlier.person = firing.person
                    AND earlier.series_id = firing.series_id
                    AND earlier.campaign_id = firing.campaign_id AND earlier.state = '{FiringState.FILED}'
                    AND earlier.outcome IN ('{Outcome.SENT}', '{Outcome.FAILED}', '{Outcome.CONTROL}')
            )
    ) AS new GROUP BY 1, 2
""")  # noqa: S608 - ours


def file_ended(scope: Scope, firings: Sequence[Firing]) -> None:
    """Enter ended firings into the accounts and mark them as filed. May be repeated; one caller at a time."""
    ended = [firing for firing in firings if firing.state == FiringState.DONE]
    if not ended:
        return
    ids = [firing.id for firing in ended]
    with scope.records() as session:
        by_firing: dict[int, list[OutboxMessage]] = defaultdict(list)
        for message in reading.messages_of(scope, session, Source.FIRING, ids):
            by_firing[message.source_id].append(message)
    days = {
        campaign.id: campaign
        for campaign in runs.occurrences_by_id(scope, sorted({firing.campaign_id for firing in ended}))
    }
    codes = _codes(scope, ended, by_firing)
    recipients = [
        row
        for firing in ended
        for row in _recipients(scope, days[firing.campaign_id], firing, by_firing[firing.id], codes)
    ]
    outcomes = [row for firing in ended for row in _outcomes(days[firing.campaign_id], firing, by_firing[firing.id])]
    rewards = [
        _rewards(days[firing.campaign_id], firing)
        for firing in ended
        if firing.rewards and firing.outcome == Outcome.SENT
    ]
    filed_firings.add_filed(scope, rewards, recipients, outcomes)
    _count(scope, ids, outcomes, recipients)


def _name(firing: Firing) -> str:
    return f"v:{firing.customer_id}" if firing.is_visitor else firing.customer_id


def _codes(scope: Scope, ended: Sequence[Firing], by_firing: Mapping[int, Sequence[OutboxMessage]]) -> dict[str, str]:
    """The promo codes that messages of firings had, by message id."""
    named: dict[int, dict[str, str]] = defaultdict(dict)
    for firing in ended:
        named[firing.campaign_id] |= {
            message.message_id: message.promo_code for message in by_firing.get(firing.id, ())
        }
    codes: dict[str, str] = {}
    for campaign_id, messages in named.items():
        codes |= allocation.shown(scope, campaign_id, messages)
    return codes


def _rewards(campaign: Occurrence, firing: Firing) -> FiringRewards:
    values, grants = rewards_in(firing.customer_id, firing.rewards).texts
    return FiringRewards(
        execution_date=campaign.execution_date,
        campaign_id=campaign.id,
        customer_id=firing.customer_id,
        reward_values=values,
        grants=grants,
        seq=firing.id,
        given_at=firing.finished_at or firing.fired_at,
        firing_id=firing.id,
    )


def _recipients(
    scope: Scope,
    campaign: Occurrence,
    firing: Firing,
    messages: Iterable[OutboxMessage],
    codes: Mapping[str, str],
) -> list[FiringRecipient]:
    """A row a channel that was or should have been reached; one without channel for a control member.

    codes are the promo codes that messages had, by id.
    """
    if firing.is_visitor:
        return []
    at = scheduled_time(scope, firing.fired_at, firing.due_at)

    def row(
        channel_id: int, group: int, action_id: int, template_id: int, promo_code: str, counted: int
    ) -> FiringRecipient:
        return FiringRecipient(
            execution_date=campaign.execution_date,
            campaign_id=campaign.id,
            customer_id=firing.customer_id,
            channel_id=channel_id,
            recipient_group_id=group,
            action_id=action_id,
            template_id=template_id,
            target_group_id=0,
            promo_code=promo_code,
            scheduled_time=at.replace(tzinfo=UTC),
            end_date=at.date() + timedelta(days=campaign.duration),
            drawn_group=firing.drawn_group,
            messages=counted,
            firing_id=firing.id,
        )

    if firing.outcome == Outcome.CONTROL:
        return [row(0, 0, CONTROL_ACTION_ID, 0, "", firing.messages)]
    return [
        row(
            message.channel_id,
            firing.recipient_group_id,
            message.action_id,
            message.template_id,
            codes[message.message_id],
            1,
        )
        for message in messages
        if message.state in (State.SENT, State.FAILED)
    ]


def _outcomes(campaign: Occurrence, firing: Firing, messages: Sequence[OutboxMessage]) -> list[FiringOutcome]:
    """A row a unit: each channel of whoever was addressed, else one."""

    def row(channel_id: int, outcome: str, reason: str, message_id: str) -> FiringOutcome:
        return FiringOutcome(
            execution_date=campaign.execution_date,
            campaign_id=campaign.id,
            customer_id=_name(firing),
            channel_id=channel_id,
            outcome=outcome,
            reason=reason,
            message_id=message_id,
            batch=0,
            recorded_at=firing.finished_at,
            drawn_group=firing.drawn_group,
            firing_id=firing.id,
        )

    if not messages:
        return [row(0, firing.outcome, firing.reason, "")]
    return [row(message.channel_id, message.state, message.reason, message.message_id) for message in messages]


def _count(
    scope: Scope,
    ids: Sequence[int],
    outcomes: Sequence[FiringOutcome],
    recipients: Sequence[FiringRecipient],
) -> None:
    """Mark firings as filed and count them into their campaigns, at once; those marked by others are not counted."""
    with scope.records() as session:
        new = session.execute(FIRST, {"tenant_id": scope.tenant_id, "ids": list(ids)}).all()
        marked = set(
            session.scalars(
                update(Firing)
                .where(Firing.tenant_id == scope.tenant_id, Firing.id.in_(ids), Firing.state == FiringState.DONE)
                .values(state=FiringState.FILED)
                .returning(Firing.id),
                execution_options={"synchronize_session": False},
            )
        )
        for campaign_id, filed in _filed(marked, new, outcomes, recipients).items():
            runs.add_to_day(scope, session, campaign_id, filed)


def _filed(
    marked: set[int],
    new: Sequence[Any],
    outcomes: Sequence[FiringOutcome],
    recipients: Sequence[FiringRecipient],
) -> dict[int, FiringTotals]:
    """What was marked comes to, by campaign in order of id."""
    units = [row for row in outcomes if row.firing_id in marked]
    places = [row for row in recipients if row.firing_id in marked and row.channel_id]
    totals = {}
    for campaign_id in sorted({row.campaign_id for row in units}):
        own = [row for row in units if row.campaign_id == campaign_id]
        totals[campaign_id] = FiringTotals(
            units=len(own),
            tested=sum(n for campaign, group, n in new if campaign == campaign_id and group),
            held_back=sum(n for campaign, group, n in new if campaign == campaign_id and not group),
            outcomes=Counter(row.outcome for row in own),
            places=Counter(
                (row.recipient_group_id, row.channel_id) for row in places if row.campaign_id == campaign_id
            ),
        )
    return totals
