"""The sender: messages without a batch leave as soon as they are due, outside the durable queues of campaigns."""

import asyncio
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile
from typing import ClassVar

import structlog

from rapport.access.scope import Scope, scope_of
from rapport.channels import service as channels
from rapport.channels.brands import brands
from rapport.channels.messages import Message, Receipt
from rapport.channels.models import Channel
from rapport.delivery import outbox
from rapport.delivery.models import Source, State
from rapport.delivery.outbox import Claim, Settled
from rapport.delivery.pacing import Pace, pause_of
from rapport.delivery.precedence import precedence
from rapport.delivery.sources import MessageSource
from rapport.delivery.transports import transports
from rapport.errors import RapportError
from rapport.notifications.deliverer import OUTSIDE_CLOCK
from rapport.stores import Stores
from rapport.stores.holds import is_held
from rapport.stores.workers.claiming import ClaimingWorker, is_timely
from rapport.stores.workers.leader import FAULTS
from rapport.stores.workers.listening import Topic

log = structlog.get_logger("rapport.delivery")
CLOCK = OUTSIDE_CLOCK

MAX_AT_ONCE = 800
# Messages that are written together.
BATCH = 25
# How many such batches are under way at once, and of one channel what was handed over; claims are renewed in threads of
# their own.
LANES, LANES_OF_CHANNEL = 32, 4
LEASE = timedelta(seconds=30)
RENEW_SECONDS = 8.0


@dataclass(frozen=True)
class Place:
    """Room that a sender keeps for messages of a tenant's channel that are being entered, claimed until an instant.

    Whoever has it gives it back: with what was entered, which leaves at once, or with nothing.
    """

    tenant_id: int
    channel_id: int
    messages: int
    until: datetime
    asked: float = field(default_factory=time.monotonic)


class Sender(ClaimingWorker):
    """A thread with an event loop that has what is due of a source sent until it is stopped.

    Each source has a sender of its own, so that much of one holds up nothing of another. What comes within gathers
    seconds of a claim is claimed together after it: under load a batch costs the records little more than one message.
    What the source enters in the same process it may hand over instead (see place), so that nobody has to look for it.
    per_channel is how many messages of a channel are under way at once.
    """

    topic = Topic.MESSAGES
    gathers: ClassVar[float] = 0.0
    per_channel: ClassVar[int] = 50

    def __init__(self, stores: Stores, source: Source, messages: MessageSource) -> None:
        super().__init__(stores, threads=4)
        self._lanes = ThreadPoolExecutor(LANES, f"sending {source}")
        self._source, self._messages = source, messages
        self._transports = transports(stores)
        self._precedence = precedence(stores)
        self._claims: dict[int, Claim] = {}
        self._busy: Counter[tuple[int, int]] = Counter()
        self._expected: Counter[tuple[int, int]] = Counter()
        self._places = threading.Lock()
        self._turned_away = False
        self._gathered: dict[tuple[int, int], list[Claim]] = defaultdict(list)
        self._gates: dict[tuple[int, int], asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(LANES_OF_CHANNEL))
        self._begun: dict[tuple[int, int], float] = {}

    def place(self, tenant_id: int, channel_id: int, messages: int) -> Place | None:
        """Room for messages that are about to be entered, if there is any: they are entered claimed, and handed over
        when they are committed. None: they are entered to be claimed when there is room. For any thread.
        """
        self._precedence.claim()
        key = (tenant_id, channel_id)
        if self._loop is None or self.stopping or self._behind or is_held(self.stores):
            return None
        with self._places:
            free = MAX_AT_ONCE - len(self._claims) - self._expected.total()
            if messages > min(free, self.per_channel - self._busy[key] - self._expected[key]):
                self._turned_away = True
                return None
            self._expected[key] += messages
        return Place(tenant_id, channel_id, messages, CLOCK.now() + LEASE)

    def hand_over(self, place: Place, claims: Sequence[Claim]) -> None:
        """Send what was entered for a place; nothing, if it was not. For any thread.

        What was long in being committed is left: its claims may run out before they are renewed.
        """
        if claims and self._loop is not None and is_timely(place.asked, LEASE):
            with suppress(RuntimeError):  # the loop has ended: the claims run out
                self._loop.call_soon_threadsafe(self._take_over, place, claims)
                return
        self._leave(place)

    def _leave(self, place: Place) -> None:
        with self._places:
            self._expected[place.tenant_id, place.channel_id] -= place.messages

    def _take_over(self, place: Place, claims: Sequence[Claim]) -> None:
        channel_key = (place.tenant_id, place.channel_id)
        self._claims |= {claim.id: claim for claim in claims}
        self._busy[channel_key] += len(claims)
        self._leave(place)
        is_first = channel_key not in self._gathered
        self._gathered[channel_key] += claims
        if is_first:
            self.begin(self._send_gathered(channel_key), makes_room=False)

    async def _send_gathered(self, channel_key: tuple[int, int]) -> None:
        """Send what was handed over on a channel, together with what comes until then."""
        await asyncio.sleep(self._begun.get(channel_key, 0.0) + self.gathers - time.monotonic())
        async with self._gates[channel_key]:
            claims = self._gathered.pop(channel_key)
            self._begun[channel_key] = time.monotonic()
            if not is_timely(self._renewed, LEASE):
                with suppress(*FAULTS):
                    await self._renew_all()
            parts = (claims[begin : begin + BATCH] for begin in range(0, len(claims), BATCH))
            await asyncio.gather(*map(self._send, parts))

    async def opened(self) -> None:
        """Begin to renew claims; those that a loop of before had, which a fault ended, run out."""
        for left in (self._claims, self._busy, self._gathered, self._gates, self._begun):
            left.clear()
        self._renewed, self._claimed = time.monotonic(), float("-inf")
        self._renewing = asyncio.create_task(self._renew())

    async def closed(self) -> None:
        """Leave every server."""
        self._renewing.cancel()
        with suppress(asyncio.CancelledError):
            await self._renewing
        self._lanes.shutdown()
        self._transports.tidy(idle=0)

    async def take(self) -> None:
        """Claim what there is room for and begin to send it.

        After an outage the claims of what is under way may have run out: they are renewed before any is taken.
        """
        if self._claims and not is_timely(self._renewed, LEASE):
            await self._renew_all()
            if not is_timely(self._renewed, LEASE):
                return
        await asyncio.sleep(max(0.0, self._claimed + self.gathers - time.monotonic()))
        self._claimed = time.monotonic()
        busy = {channel_key: messages for channel_key, messages in self._busy.items() if messages}
        together: dict[tuple[int, int], list[Claim]] = defaultdict(list)
        free = MAX_AT_ONCE - len(self._claims)
        for claim in await self.in_thread(self._claim, free, busy, time.monotonic()):
            self._claims[claim.id] = claim
            together[claim.tenant_id, claim.channel_id].append(claim)
        if together:
            self._precedence.claim()
        for channel_key, claims in together.items():
            self._busy[channel_key] += len(claims)
            for begin in range(0, len(claims), BATCH):
                self.begin(self._send(claims[begin : begin + BATCH]))

    def _claim(self, free: int, busy: dict[tuple[int, int], int], since: float) -> list[Claim]:
        """Claim up to free messages that are due; busy counts those of a tenant's channel that are under way here.

        since: when it is wanted, by the monotonic clock: what was long in coming claims nothing, since claims of
        what is under way may have run out meanwhile.
        """
        now = CLOCK.now()
        if not is_timely(since, LEASE):
            return []
        with self.stores.records.session() as session:
            claimed = outbox.claim_due(session, self._source, free, self.per_channel, busy, now, now + LEASE)
        return claimed if is_timely(since, LEASE) else []

    async def _send(self, claims: Sequence[Claim]) -> None:
        channel_key = (claims[0].tenant_id, claims[0].channel_id)
        try:
            await asyncio.get_running_loop().run_in_executor(self._lanes, self._send_batch, claims)
        except FAULTS:
            log.exception(
                "messages cannot be sent; their claims will run out", tenant=channel_key[0], channel=channel_key[1]
            )
        finally:
            self._busy[channel_key] -= len(claims)
            for claim in claims:
                if self._claims.get(claim.id) is claim:  # it may be due again, and claimed, before its batch has ended
                    del self._claims[claim.id]
            if self._turned_away:
                self._turned_away = False
                self.wake()

    def _send_batch(self, claims: Sequence[Claim]) -> None:
        """Send messages on one channel and settle each as its reply comes."""
        scope = scope_of(self.stores, claims[0].tenant_id, actor="sender")
        try:
            with brands.read_once():
                channel = channels.channel(scope, claims[0].channel_id)
                letters = self._written(scope, channel, claims)
                if letters:
                    self._hand_over(scope, channel, letters)
        except FAULTS:
            raise
        except RapportError as error:
            self._settle(scope, [Settled(claim, State.FAILED, error.message, answered=False) for claim in claims])

    def _written(self, scope: Scope, channel: Channel, claims: Sequence[Claim]) -> list[tuple[Claim, Message]]:
        """The messages to send; whatever is not to be sent after all, or cannot be written, is settled."""
        letters: list[tuple[Claim, Message]] = []
        settled: list[Settled] = []
        for claim, written in self._messages.write(scope, channel, claims):
            if isinstance(written, Message):
                letters.append((claim, written))
            else:
                settled.append(Settled(claim, State(written.outcome), written.reason, answered=False))
        self._settle(scope, settled)
        return letters

    def _hand_over(self, scope: Scope, channel: Channel, letters: Sequence[tuple[Claim, Message]]) -> None:
        pace = Pace(scope, channel, self._source)
        waiting = {letter.message_id: claim for claim, letter in letters}
        providers = {letter.message_id: pace.provider(letter) for _, letter in letters}
        held = pace.held([letter for _, letter in letters])
        settled = [Settled(waiting.pop(name), State.PENDING, "", at, answered=False) for name, at in held.items()]
        self._settle(scope, settled)
        drawn = takewhile(
            lambda _: not self.stopping, (letter for _, letter in letters if letter.message_id in waiting)
        )
        with self._transports.of(scope, channel) as transport:
            for receipts in transport.send_many(drawn):
                replies = [(waiting.pop(receipt.message_id), receipt) for receipt in receipts]
                self.note(self._note_replies, scope, replies)
                first = [receipt for claim, receipt in replies if not claim.attempts]
                pace.heard([(providers[receipt.message_id], receipt) for receipt in first])
        # Nothing more leaves: the process is being stopped.
        self._settle(scope, [Settled(claim, State.PENDING, answered=False) for claim in waiting.values()])

    def _note_replies(self, scope: Scope, replies: Sequence[tuple[Claim, Receipt]]) -> None:
        settled = [self._became(scope, claim, receipt) for claim, receipt in replies]
        self._settle(scope, settled)
        failed = [ended for ended in settled if ended.state is State.FAILED]
        if failed:
            self._messages.note_failed(scope, failed[0].claim.channel_id, failed)

    def _became(self, scope: Scope, claim: Claim, receipt: Receipt) -> Settled:
        """What a reply says of a message; a failure that may pass is due again after the pause that its source says."""
        delays = self._messages.retry_delays(scope)
        if State(receipt.outcome) is not State.FAILED:
            return Settled(claim, State(receipt.outcome), receipt.reason)
        if receipt.away and not self._messages.is_late(scope, claim):
            due_at = CLOCK.now() + pause_of(claim)
            return Settled(claim, State.PENDING, receipt.reason, due_at, answered=False)
        if receipt.permanent or receipt.away or claim.attempts >= len(delays):
            return Settled(claim, State.FAILED, receipt.reason, answered=not receipt.away)
        due_at = CLOCK.now() + timedelta(seconds=max(delays[claim.attempts], receipt.retry_after))
        return Settled(claim, State.PENDING, receipt.reason, due_at)

    def _settle(self, scope: Scope, settled: Sequence[Settled]) -> None:
        if settled:
            with scope.records() as session:
                outbox.settle(scope, session, settled)
                self._messages.note(scope, session, settled)

    async def _renew(self) -> None:
        """Keep the claims of what is under way."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            with suppress(*FAULTS):
                await self._renew_all()

    async def _renew_all(self) -> None:
        began = time.monotonic()  # claims last from here, however long the statement is held up
        if claims := list(self._claims.values()):
            await self.in_thread(self._renew_claims, claims)
        self._renewed = began

    def _renew_claims(self, claims: Sequence[Claim]) -> None:
        with self.stores.records.session() as session:
            outbox.renew(session, claims, CLOCK.now() + LEASE)
