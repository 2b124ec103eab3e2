"""The sender: what firings send on channels of our own leaves at once, outside the durable queues of campaigns.

A message is claimed before it leaves, and the claim is renewed as long as its process lives. After a kill only
messages that were in flight are in doubt; they are claimed by another once their time is over and go out again under
the same message id, as those of scheduled campaigns do.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import takewhile

import orjson
import structlog
from prometheus_client import Counter as Metric
from sqlalchemy import text

from rapport.access.scope import Scope, scope_of
from rapport.campaigns import service as campaigns
from rapport.channels import service as channels
from rapport.delivery import service as delivery
from rapport.errors import RapportError
from rapport.notifications import service as notifications
from rapport.realtime.mailing import Claimed, write
from rapport.realtime.matching import firings
from rapport.realtime.models import FAILED, PENDING, SENT
from rapport.stores import Stores
from rapport.stores.workers.claiming import ClaimingWorker, is_timely
from rapport.stores.workers.leader import FAULTS
from rapport.stores.workers.listening import Topic

log = structlog.get_logger("rapport.realtime")
MESSAGES = Metric("rapport_firing_messages_total", "Messages of triggered campaigns by what became of them", ["state"])
CLOCK = notifications.OUTSIDE_CLOCK

MAX_AT_ONCE = 800
PER_CHANNEL = 50
# Messages that are written together.
BATCH = 25
# How many such batches are under way at once; claims are renewed in threads of their own.
LANES = 32
LEASE = timedelta(seconds=30)
RENEW_SECONDS = 8.0
# Pauses of a message whose server is away, each twice the one before.
FIRST_WAIT, LONGEST_WAIT = 2.5, 300.0

# Messages that are due, of each channel as many as it has room for. Channels are found by steps through the index.
CLAIM = """
WITH RECURSIVE waiting (tenant_id, channel_id) AS (
    (SELECT tenant_id, channel_id FROM firing_messages WHERE state IN ('pending', 'claimed')
     ORDER BY tenant_id, channel_id LIMIT 1)
    UNION ALL
    SELECT next.tenant_id, next.channel_id FROM waiting AS w CROSS JOIN LATERAL (
        SELECT m.tenant_id, m.channel_id FROM firing_messages AS m
        WHERE m.state IN ('pending', 'claimed') AND (m.tenant_id, m.channel_id) > (w.tenant_id, w.channel_id)
        ORDER BY m.tenant_id, m.channel_id LIMIT 1
    ) AS next
),
busy (tenant_id, channel_id, messages) AS (
    SELECT * FROM unnest(CAST(:tenants AS integer[]), CAST(:channels AS integer[]), CAST(:messages AS integer[]))
),
due AS MATERIALIZED (
    SELECT m.firing_id, m.channel_id
    FROM (SELECT * FROM waiting ORDER BY random()) AS w
    LEFT JOIN busy AS b ON b.tenant_id = w.tenant_id AND b.channel_id = w.channel_id
    CROSS JOIN LATERAL (
        SELECT m.firing_id, m.channel_id FROM firing_messages AS m
        WHERE m.tenant_id = w.tenant_id AND m.channel_id = w.channel_id AND m.state IN ('pending', 'claimed')
            AND (m.due_at IS NULL OR m.due_at <= :now)
        ORDER BY m.firing_id
        LIMIT greatest(:per_channel - coalesce(b.messages, 0), 0)
        FOR UPDATE SKIP LOCKED
    ) AS m
    LIMIT :free
)
UPDATE firing_messages AS m SET state = 'claimed', attempts = m.attempts + 1, due_at = :lease
FROM due WHERE m.firing_id = due.firing_id AND m.channel_id = due.channel_id
RETURNING m.tenant_id, m.firing_id, m.channel_id, m.template_id, m.action_id, m.promo_code, m.message_id, m.attempts
"""

# attempts tells whose a claim is: one that ran out was taken by somebody else. A renewal that a hung server carries out
# late shortens no claim that a later one has renewed meanwhile.
RENEW = """
UPDATE firing_messages AS m SET due_at = greatest(m.due_at, :lease)
FROM json_to_recordset(CAST(:claims AS json)) AS given (f bigint, c integer, a integer)
WHERE m.firing_id = given.f AND m.channel_id = given.c AND m.attempts = given.a AND m.state = 'claimed'
"""
SETTLE = """
UPDATE firing_messages SET state = :state, reason = :reason, due_at = :due_at
WHERE tenant_id = :tenant_id AND firing_id = :firing_id AND channel_id = :channel_id
    AND attempts = :attempts AND state = 'claimed'
"""

FIRED_AT = "SELECT fired_at FROM trigger_firings WHERE tenant_id = :tenant_id AND id = :firing_id"


class Outbox:
    """The messages in the records, seen by one process."""

    def __init__(self, stores: Stores) -> None:
        self._records = stores.records

    def claim(self, free: int, busy: dict[tuple[int, int], int], asked: float = 0.0) -> list[Claimed]:
        """Claim up to free messages that are due; busy counts those of a tenant's channel that are under way here.

        asked: since when it is wanted, by the monotonic clock, now by default: what was long in coming claims nothing,
        since claims of what is under way may have run out meanwhile.
        """
        asked, now = asked or time.monotonic(), CLOCK.now()
        if not is_timely(asked, LEASE):
            return []
        bound = {
            "tenants": [tenant for tenant, _ in busy],
            "channels": [channel for _, channel in busy],
            "messages": list(busy.values()),
            "per_channel": PER_CHANNEL,
            "free": free,
            "now": now,
            "lease": now + LEASE,
        }
        with self._records.session() as session:
            claimed = [Claimed(*row) for row in session.execute(text(CLAIM), bound)]
        return claimed if is_timely(asked, LEASE) else []

    def fired_at(self, one: Claimed) -> datetime | None:
        """When what a message is sent for happened."""
        with self._records.reading() as connection:
            bound = {"tenant_id": one.tenant_id, "firing_id": one.firing_id}
            found: datetime | None = connection.execute(text(FIRED_AT), bound).scalar()
        return found

    def renew(self, claims: Sequence[Claimed]) -> None:
        """Say that these are still being sent."""
        rows = [{"f": one.firing_id, "c": one.channel_id, "a": one.attempts} for one in claims]
        with self._records.session() as session:
            session.execute(text(RENEW), {"claims": orjson.dumps(rows).decode(), "lease": CLOCK.now() + LEASE})

    def settle(self, scope: Scope, one: Claimed, state: str, reason: str, wait: float | None = None) -> None:
        """Enter what became of a message, and end its firing when it was the last; wait: seconds before it is due."""
        bound = {
            "tenant_id": scope.tenant_id,
            "firing_id": one.firing_id,
            "channel_id": one.channel_id,
            "attempts": one.attempts,
            "state": state,
            "reason": reason[:300],
            "due_at": None if wait is None else CLOCK.now() + timedelta(seconds=wait),
        }
        with scope.records() as session:
            session.execute(text(SETTLE), bound)
            if state != PENDING:
                firings.conclude(scope, session, [one.firing_id])
        MESSAGES.labels("retried" if state == PENDING else state).inc()


class Sender(ClaimingWorker):
    """A thread with an event loop that has what is due sent until it is stopped."""

    name = "sender"
    topic = Topic.FIRINGS

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores, threads=4)
        self._lanes = ThreadPoolExecutor(LANES, "sending")
        self._outbox = Outbox(stores)
        self._transports = delivery.transports(stores)
        self._claims: dict[tuple[int, int], Claimed] = {}
        self._busy: Counter[tuple[int, int]] = Counter()

    async def opened(self) -> None:
        """Begin to renew claims."""
        self._renewed = time.monotonic()
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
        busy = {place: messages for place, messages in self._busy.items() if messages}
        by_channel: dict[tuple[int, int], list[Claimed]] = defaultdict(list)
        free = MAX_AT_ONCE - len(self._claims)
        for one in await self.in_thread(self._outbox.claim, free, busy, time.monotonic()):
            self._claims[one.firing_id, one.channel_id] = one
            by_channel[one.tenant_id, one.channel_id].append(one)
        for place, some in by_channel.items():
            self._busy[place] += len(some)
            for begin in range(0, len(some), BATCH):
                self.begin(self._send(place, some[begin : begin + BATCH]))

    async def _send(self, place: tuple[int, int], some: Sequence[Claimed]) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._lanes, self._send_batch, some)
        except FAULTS:
            log.exception("messages cannot be sent; their claims will run out", tenant=place[0], channel=place[1])
        finally:
            self._busy[place] -= len(some)
            for one in some:
                self._claims.pop((one.firing_id, one.channel_id), None)

    def _send_batch(self, some: Sequence[Claimed]) -> None:
        """Send messages of one channel and settle each as its reply comes."""
        scope = scope_of(self.stores, some[0].tenant_id, actor="sender")
        try:
            channel = channels.channel(scope, some[0].channel_id)
            letters = self._written(scope, channel, some)
            with self._transports.of(scope, channel) as transport:
                drawn = takewhile(lambda _: not self.stopping, (letter for _, letter in letters))
                waiting = {one.message_id: one for one, _ in letters}
                customers_of = {letter.message_id: letter.customer_id for _, letter in letters}
                for receipt in transport.send(drawn):
                    one, customer_id = waiting.pop(receipt.message_id), customers_of[receipt.message_id]
                    self.note(self._settle, scope, one, receipt, customer_id)
                for one in waiting.values():  # nothing more leaves: the process is being stopped
                    self._outbox.settle(scope, one, PENDING, "")
        except FAULTS:
            raise
        except RapportError as error:
            for one in some:
                self._outbox.settle(scope, one, FAILED, error.message)

    def _written(
        self, scope: Scope, channel: channels.Channel, some: Sequence[Claimed]
    ) -> list[tuple[Claimed, channels.Message]]:
        """The messages to send; whatever is not to be sent after all, or cannot be written, is settled."""
        written = write(scope, channel, some)
        for claim, letter in written.items():
            if isinstance(letter, channels.Receipt):
                self._outbox.settle(scope, claim, letter.outcome, letter.reason)
        return [(claim, letter) for claim, letter in written.items() if isinstance(letter, channels.Message)]

    def _settle(self, scope: Scope, one: Claimed, receipt: channels.Receipt, customer_id: str) -> None:
        """Enter a reply; a failure that may pass is due again after the pause that the tenant's settings say."""
        delays = campaigns.settings_of(scope).retry_delays
        if receipt.outcome == SENT:
            self._outbox.settle(scope, one, SENT, receipt.reason)
        elif receipt.away and not self._is_late(scope, one):
            wait = min(FIRST_WAIT * 2.0 ** min(one.attempts, 10), LONGEST_WAIT)
            self._outbox.settle(scope, one, PENDING, receipt.reason, wait)
        elif receipt.permanent or one.attempts > len(delays):
            self._outbox.settle(scope, one, FAILED, receipt.reason)
            delivery.note_failed(scope, one.channel_id, [(customer_id, receipt.reason)])
        else:
            self._outbox.settle(scope, one, PENDING, receipt.reason, delays[one.attempts - 1])

    def _is_late(self, scope: Scope, one: Claimed) -> bool:
        """Whether a message has waited for its server as long as the tenant lets messages be late."""
        fired_at = self._outbox.fired_at(one)
        hours = campaigns.settings_of(scope).wait_hours
        return fired_at is None or scope.clock.now() - fired_at > timedelta(hours=hours)

    async def _renew(self) -> None:
        """Keep the claims of what is under way."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            with suppress(*FAULTS):
                await self._renew_all()

    async def _renew_all(self) -> None:
        began = time.monotonic()  # claims last from here, however long the statement is held up
        if claims := list(self._claims.values()):
            await self.in_thread(self._outbox.renew, claims)
        self._renewed = began
