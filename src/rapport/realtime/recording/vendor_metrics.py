"""Metric events of outside vendors that name a campaign: interactions of its recipients, as if reported by call."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns.measurement import interactions as campaign_interactions
from rapport.campaigns.measurement.interactions import ReportedInteraction
from rapport.errors import Invalid
from rapport.messaging.contactability import soft_bounces
from rapport.messaging.contactability.soft_bounces import DeliveryReport
from rapport.realtime.events.event_log import warn
from rapport.realtime.recording.handled_event import FiledEvent
from rapport.realtime.recording.pending_receipts import unfiled_receipts
from rapport.realtime.recording.vendor_words import SOFT_BOUNCED, interaction_of
from rapport.realtime.states import Origin
from rapport.stores.isolating import isolate

CAMPAIGN, CHANNEL, TEMPLATE = ("campaignid", "campaign"), ("channelid", "channel"), ("templateid", "template")
GROUP, APP = ("recipientgroupid", "recipientgroup"), ("appid", "app")
LARGEST = 2**31 - 1


def interactions(scope: Scope, events: Iterable[FiledEvent]) -> None:
    """Add what metric events report of campaigns; what cannot be is a warning in the log. May be repeated."""
    rows, wrong = [], []
    for event in events:
        if event.origin != Origin.METRIC or not event.customer_id:
            continue
        try:
            row = _reported(event)
        except Invalid as error:
            wrong.append((event, error.message))
            continue
        if row is not None:
            rows.append((event, row))
    soft = [row for _, row in rows if row.event_id == SOFT_BOUNCED]
    wrong += _added(scope, [(event, row) for event, row in rows if row.event_id != SOFT_BOUNCED])
    if soft:
        soft_bounces.soft_bounced(scope, [DeliveryReport(row.channel_id, row.customer_id, row.at) for row in soft])
    if wrong:
        with scope.records() as session:
            for event, reason in wrong:
                warn(scope, session, event.origin, event.event, event.customer_id, [reason], "")


EventInteraction = tuple[FiledEvent, ReportedInteraction]


def _added(scope: Scope, rows: Sequence[EventInteraction]) -> list[tuple[FiledEvent, str]]:
    """Add interactions; those that cannot be, with the reason. One's fault is not the others'."""
    wrong: list[tuple[FiledEvent, str]] = []
    isolate(
        rows,
        lambda items: campaign_interactions.add_interactions(scope, [row for _, row in items], unfiled_receipts),
        aside=lambda pair, error: wrong.append((pair[0], str(error))),
        is_fatal=lambda error: not isinstance(error, Invalid),
    )
    return wrong


def _reported(event: FiledEvent) -> ReportedInteraction | None:
    """The interaction that an event tells of; None for one that names no campaign. Raises Invalid."""
    fields = {re.sub(r"[^a-z]", "", name.lower()): value for name, value in event.parameters.items()}
    campaign = _number(fields, CAMPAIGN)
    if campaign is None:
        return None
    channel, template = _number(fields, CHANNEL), _number(fields, TEMPLATE)
    if channel is None or template is None:
        raise Invalid("A metric of a campaign must name its channel and template.")
    kind = interaction_of(event.event, event.parameters)
    if kind is None:
        raise Invalid("The event's name does not say what the customer did.")
    app = next((str(fields[name]) for name in APP if fields.get(name) is not None), "")
    return ReportedInteraction(
        campaign, channel, template, kind, event.customer_id, event.event_at, _number(fields, GROUP), app, Origin.METRIC
    )


def _number(fields: Mapping[str, Any], names: Iterable[str]) -> int | None:
    """A number that stands under one of the names, as a number or a text."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and re.fullmatch(r"\d{1,10}", value, re.ASCII):
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST:
            return value
    return None
