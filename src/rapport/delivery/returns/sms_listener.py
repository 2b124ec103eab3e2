"""The listener: binds that are kept open to the SMS centres of all tenants, for reports and answers at any time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
import structlog

from rapport.access.scope import Scope, scope_of
from rapport.channels import service as channels
from rapport.channels.sms import directory, incoming, smpp
from rapport.channels.sms.smpp_bind import Bind
from rapport.delivery.returns.text_messages import RECORDER
from rapport.errors import NotFound
from rapport.stores import Stores
from rapport.stores.records.locks import Leadership
from rapport.stores.workers.rounds import RoundWorker

log = structlog.get_logger("rapport.delivery")
ROUND_SECONDS = 5.0


@dataclass
class _OpenBind:
    """A bind of a channel, and the settings that it was opened with."""

    bind: Bind
    settings: dict[str, Any] = field(default_factory=dict)


class SmsListener(RoundWorker):
    """The thread of a process, which waits until it leads."""

    name = "sms listener"
    leadership = Leadership.SMS
    pauses_while_held = True

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores)
        incoming.register(RECORDER)
        self._stores = stores
        self._binds: dict[tuple[int, int], _OpenBind] = {}

    def round(self, words: Sequence[psycopg.Notify]) -> float:
        """Open the binds of channels that have none, and leave those of channels that are gone or changed."""
        places = {(row.tenant_id, row.id) for row in self.leading(directory.BOUND)}
        for place in [*self._binds]:
            if place not in places or not self._binds[place].bind.usable:
                self._leave(place)
        for place in sorted(places):
            if not self.stopping:
                self._listen(place)
        return ROUND_SECONDS

    def _listen(self, place: tuple[int, int]) -> None:
        tenant_id, channel_id = place
        try:
            scope = scope_of(self._stores, tenant_id, actor="SMS centre")
            settings = channels.channel(scope, channel_id).settings
        except NotFound:
            return
        if place in self._binds and self._binds[place].settings == settings:
            return
        self._leave(place)
        try:
            self._binds[place] = _OpenBind(self._bind(scope, channel_id), settings)
        except smpp.Down as down:
            log.warning("no bind to an SMS centre", tenant=tenant_id, channel=channel_id, reason=down.reason)

    def _bind(self, scope: Scope, channel_id: int) -> Bind:
        channel = directory.settings_of(channels.channel(scope, channel_id))
        deliveries = smpp.Deliveries(scope, channel_id)
        allow_private = self._stores.settings.allow_private_addresses
        return smpp.open_bind(channel, deliveries.handle, allow_private=allow_private)

    def _leave(self, place: tuple[int, int]) -> None:
        if listening := self._binds.pop(place, None):
            listening.bind.close()

    def dispose(self) -> None:
        """Leave every centre."""
        for place in [*self._binds]:
            self._leave(place)
