"""Popups of web pages: what the answer to an event tells a page to show, and what pages report of it."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns.plans import channels_in
from rapport.campaigns.states import SeriesStatus
from rapport.campaigns.triggered import definitions
from rapport.channels.service import channels
from rapport.customers.core_events import POPUP_CLICKED, POPUP_DISPLAYED
from rapport.delivery.returns import inbox_reports
from rapport.inbox import reading
from rapport.inbox.changing import Action, Report
from rapport.inbox.models import InboxMessage
from rapport.inbox.reading import Inbox
from rapport.inbox.storing import inbox_id
from rapport.realtime.events.owners import persons_named
from rapport.realtime.events.storing import Incoming

ACTIONS = {POPUP_DISPLAYED: Action.READ, POPUP_CLICKED: Action.CLICKED}
# How long an event that a popup answers is waited for, how often is looked, and by how many at once in a process.
PATIENCE_SECONDS, PAUSE_SECONDS, MOST_WAITING = 2.0, 0.1, 100
KNOWN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Places:
    """The channels of a tenant that are popups, and the events that active campaigns on them answer."""

    channels: tuple[int, ...]
    events: frozenset[str]
    read_at: float


class Popups:
    """The popups of tenants, for one process."""

    def __init__(self) -> None:
        self._places: dict[int, Places] = {}
        self._waiting = 0

    async def next(self, scope: Scope, events: Sequence[Incoming]) -> InboxMessage | None:
        """The popup to show whoever the last of some stored events is about; None when there is none.

        What an event of theirs sets off is waited for, a moment.
        """
        asking = [event for event in events if event.event not in ACTIONS]
        if not asking:
            return None
        places = await self._places_of(scope)
        if not places.channels:
            return None
        waits = self._waiting < MOST_WAITING and any(event.event in places.events for event in asking)
        until = time.monotonic() + (PATIENCE_SECONDS if waits else 0.0)
        self._waiting += waits
        try:
            while True:
                popup = await asyncio.to_thread(_next, scope, places.channels, asking[-1])
                if popup is not None or time.monotonic() >= until:
                    return popup
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self._waiting -= waits

    async def report(self, scope: Scope, events: Sequence[Incoming]) -> None:
        """Count what pages say that they did with popups. Repetitions count once."""
        about = [event for event in events if event.event in ACTIONS]
        if about and (places := await self._places_of(scope)).channels:
            await asyncio.to_thread(_report, scope, places.channels, about)

    async def _places_of(self, scope: Scope) -> Places:
        places = self._places.get(scope.tenant_id)
        if places is None or time.monotonic() - places.read_at > KNOWN_SECONDS:
            places = self._places[scope.tenant_id] = await asyncio.to_thread(_places, scope)
        return places


def _places(scope: Scope) -> Places:
    popups = {channel.id for channel in channels(scope) if channel.behaviour.answers_events}
    active = definitions.triggered(scope, SeriesStatus.ACTIVE) if popups else []
    answering = [series.id for series in active if channels_in(series.groups) & popups]
    events = frozenset(definitions.trigger_events(scope, answering).values()) if answering else frozenset[str]()
    return Places(tuple(sorted(popups)), events, time.monotonic())


def _inbox(scope: Scope, popup_channels: tuple[int, ...], event: Incoming) -> Inbox:
    return Inbox(persons_named(scope, event.customer_id, event.visitor_id), popup_channels)


def _next(scope: Scope, popup_channels: tuple[int, ...], event: Incoming) -> InboxMessage | None:
    return reading.next_unread(scope, _inbox(scope, popup_channels, event))


def _report(scope: Scope, popup_channels: tuple[int, ...], events: Sequence[Incoming]) -> None:
    for event in events:
        inbox, action = _inbox(scope, popup_channels, event), ACTIONS[event.event]
        ids = _meant(scope, inbox, event.parameters)
        reports = [Report(popup_id, action, event.event_at, f"popup {action} {popup_id}") for popup_id in ids]
        inbox_reports.report(scope, inbox, reports)


def _meant(scope: Scope, inbox: Inbox, parameters: dict[str, Any]) -> list[Any]:
    """The ids of the popup that a report is about, by what its message is or, of older SDKs, by its campaign alone."""
    if send_id := parameters.get("send_id"):
        return [inbox_id(scope.tenant_id, channel, str(send_id)) for channel in inbox.channels]
    campaign_id = parameters.get("campaign_detail_id")
    if not isinstance(campaign_id, int) or not 0 < campaign_id < 2**31:
        return []
    return [popup.id for popup in reading.counted_for(scope, inbox, campaign_id, 0, None)]
