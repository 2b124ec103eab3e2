"""SMPP 3.4: messages are submitted over one bind as transceiver, which is opened again when it was lost."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from smpplib import consts
from smpplib.exceptions import PDUError

from rapport.access.scope import Scope
from rapport.channels.handing import Decided
from rapport.channels.messages import Message, Receipt
from rapport.channels.sms import incoming, smpp_texts
from rapport.channels.sms.long_texts import Sender, long_texts
from rapport.channels.sms.sending import NO_SUCH_NUMBER, SmsTransport
from rapport.channels.sms.settings import SmsChannelSettings
from rapport.channels.sms.smpp_bind import FAULTS, NOT_SENT, THROTTLED, UNANSWERED, Bind, Submitted
from rapport.errors import Invalid, Unavailable
from rapport.hosts import PrivateAddress, Unresolved, public_addresses

# After no bind could be opened, none is opened for so many seconds; messages fail at once instead of waiting.
DOWN_SECONDS = 2.0
# What is under way may be answered for so long when a transport is closed.
DRAIN_SECONDS = 10.0
# So many messages are handed over at once at least, also where the window is small: the more, the fewer commits.
LEAST_WAITING = 120
NO_SUCH = frozenset({consts.SMPP_ESME_RINVDSTADR, consts.SMPP_ESME_RINVDSTTON, consts.SMPP_ESME_RINVDSTNPI})
PASSES = frozenset({consts.SMPP_ESME_RSYSERR, consts.SMPP_ESME_RSUBMITFAIL, consts.SMPP_ESME_RX_T_APPN, *THROTTLED})
REFUSED_LOGIN = frozenset({consts.SMPP_ESME_RBINDFAIL, consts.SMPP_ESME_RINVPASWD, consts.SMPP_ESME_RINVSYSID})
LATER = consts.SMPP_ESME_RX_T_APPN
NO_BIND = (*FAULTS, Unresolved, PrivateAddress)


class Down(Exception):
    """An SMS centre to which no bind could be opened; away as in Receipt."""

    def __init__(self, reason: str, *, away: bool) -> None:
        super().__init__(reason)
        self.reason, self.away = reason, away


def checked(channel: SmsChannelSettings, *, allow_private: bool) -> None:
    """Raises Invalid for settings by which nothing can be submitted, naming the setting."""
    for name in ("host", "system_id"):
        if not getattr(channel, name):
            raise Invalid(f"settings.{name} is required if settings.via is smpp.")
    try:
        public_addresses(channel.host, channel.port, allow_private=allow_private)
    except Unresolved:
        return
    except Invalid as error:
        raise Invalid(f"settings.host: {error.message}") from error


def open_bind(channel: SmsChannelSettings, handle: Callable[[Any], int], *, allow_private: bool) -> Bind:
    """A new bind. Raises Down."""
    try:
        address = public_addresses(channel.host, channel.port, allow_private=allow_private)[0]
        return Bind(channel, address, handle)
    except NO_BIND as error:
        raise _down(error) from error


def _down(error: Exception) -> Down:
    if isinstance(error, PrivateAddress):
        return Down("SMS centre has a private address, which is not allowed", away=False)
    if isinstance(error, Unresolved):
        return Down("SMS centre's name cannot be resolved", away=True)
    if isinstance(error, PDUError) and len(error.args) > 1:
        if error.args[1] in REFUSED_LOGIN:
            return Down("SMS centre refused the login", away=False)
        return Down(f"SMS centre refused the bind 0x{error.args[1]:02x}", away=True)
    return Down("SMS centre cannot be reached", away=True)


class Deliveries:
    """Handles what a centre delivers: reports, and texts of people. What cannot be recorded now is to come again.

    channel_id is None until it is known for which channel the bind was opened.
    """

    def __init__(self, scope: Scope, channel_id: int | None = None) -> None:
        self._scope, self.channel_id = scope, channel_id

    def handle(self, pdu: Any) -> int:
        """The status with which a deliver_sm is answered."""
        if self.channel_id is None:
            return int(LATER)
        try:
            return int(consts.SMPP_ESME_ROK if self._recorded(self.channel_id, pdu) else LATER)
        except Exception:  # whatever it is, the centre keeps the message and the bind stays
            return int(LATER)

    def _recorded(self, channel_id: int, pdu: Any) -> bool:
        at = self._scope.clock.now()
        if not smpp_texts.is_receipt(pdu):
            self._answer(channel_id, pdu, at)
            return True
        report = smpp_texts.report_of(pdu, at)
        return report is None or incoming.registered().report(self._scope, channel_id, report)

    def _answer(self, channel_id: int, pdu: Any, at: datetime) -> None:
        """Record a text once all of it has come."""
        number, part = smpp_texts.sender_of(pdu), smpp_texts.part_of(pdu)
        sender = Sender(self._scope.tenant_id, channel_id, number)
        gathered = long_texts(self._scope.stores)
        octets = gathered.joined(sender, part)
        if octets is not None:
            answer = incoming.Answer(number, smpp_texts.text_of(octets, pdu.data_coding), at)
            incoming.registered().answer(self._scope, channel_id, answer)
            gathered.forget(sender, part)


class _Delivery:
    """A message whose segments are under way; its receipt is given when all of them are answered.

    The reading thread of a bind tells it of answers. If the bind ended before any segment had left, all go by another.
    """

    def __init__(self, message: Message, bodies: Sequence[bytes], decided: Decided, transport: "SmppTransport") -> None:
        self.segments = [Submitted(body, self._answered) for body in bodies]
        self._message, self._decided, self._transport = message, decided, transport
        self._left, self._was_sent = len(bodies), False
        self._began = time.monotonic()
        self._worst: Receipt | None = None

    def end(self, reason: str, *, permanent: bool = False, away: bool = False) -> None:
        """Give the receipt of a message that is not sent."""
        self._decided.put(Receipt(self._message.message_id, "failed", reason, permanent=permanent, away=away))

    def _answered(self, status: int, given_id: str) -> None:
        self._left -= 1
        self._was_sent |= status != NOT_SENT
        if status == consts.SMPP_ESME_ROK:
            self._transport.note_submitted(given_id, self._message)
        elif self._worst is None or self._worst.permanent:
            self._worst = _failure(self._message.message_id, status)
        if self._left:
            return
        if self._was_sent:
            seconds = time.monotonic() - self._began
            self._decided.put(self._worst or Receipt(self._message.message_id, "sent", seconds=seconds))
        else:
            self._transport.begin([self._message], self._decided)


def _failure(message_id: str, status: int) -> Receipt:
    if status in (UNANSWERED, NOT_SENT):
        return Receipt(message_id, "failed", "SMS centre did not answer")
    if status in NO_SUCH:
        return Receipt(message_id, "failed", NO_SUCH_NUMBER, permanent=True)
    reason = "SMS centre wants less at a time" if status in THROTTLED else f"SMS centre refused it 0x{status:02x}"
    return Receipt(message_id, "failed", reason, permanent=status not in PASSES)


class SmppTransport(SmsTransport):
    """Submits over one bind, with as many segments under way as its window allows."""

    def __init__(self, scope: Scope, channel: SmsChannelSettings) -> None:
        super().__init__(scope, channel)
        # While receipts are entered what waits in the bind keeps the centre busy; a slow one does not get much ahead.
        self._together = max(channel.window // 2, 1)
        most = max(4 * channel.window, LEAST_WAITING)
        self._most = min(most, 4 * channel.per_second) if channel.per_second else most
        self._deliveries = Deliveries(scope)
        self._allow_private = scope.stores.settings.allow_private_addresses
        self._bind: Bind | None = None
        self._down: Down | None = None
        self._down_until = 0.0
        self._opening = threading.Lock()

    def begin(self, messages: Sequence[Message], decided: Decided) -> None:
        """Submit them together."""
        deliveries: list[_Delivery] = []
        for message in messages:
            self._deliveries.channel_id = message.origin.channel_id or self._deliveries.channel_id
            try:
                bodies = smpp_texts.submissions_of(self._channel, message)
            except Exception as error:  # a receipt is owed whatever happens
                decided.put(Receipt(message.message_id, "failed", f"not sent: {type(error).__name__}", permanent=True))
            else:
                deliveries.append(_Delivery(message, bodies, decided, self))
        self._submit(deliveries)

    def _submit(self, deliveries: Sequence[_Delivery]) -> None:
        segments = [segment for delivery in deliveries for segment in delivery.segments]
        try:
            while not self._bound().submit(segments):
                pass
        except Down as down:
            for delivery in deliveries:
                delivery.end(down.reason, away=down.away)
        except Exception as error:
            for delivery in deliveries:
                delivery.end(f"not sent: {type(error).__name__}", permanent=True)

    def _bound(self) -> Bind:
        """The bind, opened again if it was lost. Raises Down."""
        with self._opening:
            if self._bind is not None and self._bind.usable:
                return self._bind
            if self._down is not None and time.monotonic() < self._down_until:
                raise self._down
            try:
                self._bind = open_bind(self._channel, self._deliveries.handle, allow_private=self._allow_private)
            except Down as down:
                self._down, self._down_until = down, time.monotonic() + DOWN_SECONDS
                raise
            return self._bind

    def check(self) -> None:
        """Bind and leave. Raises Unavailable."""
        try:
            open_bind(self._channel, self._deliveries.handle, allow_private=self._allow_private).close()
        except Down as down:
            raise Unavailable(f"The {down.reason}.") from down

    def close(self) -> None:
        """Let what is under way be answered, then leave."""
        if self._bind is not None:
            self._bind.drain(min(DRAIN_SECONDS, self._channel.timeout_seconds))
            self._bind.close()
