"""The decider: asks gateways about firings of conditional campaigns, many side by side, and lets firings go or not.

A firing is leased while it is asked about, and the verdict is kept in the transaction that acts on it; a process
that died leaves a lease that runs out, and the question is put again under its first id. One tenant has so many
questions at once and no more, so a slow gateway delays its own tenant only.
"""

import asyncio
import hashlib
import random
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import orjson
import structlog
from prometheus_client import Counter as Metric
from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope, scope_of
from rapport.campaigns.triggered import definitions
from rapport.conditions.outcomes import Outcome
from rapport.notifications.deliverer import OUTSIDE_CLOCK
from rapport.realtime.gateway_questions import (
    BY_GATEWAY,
    NO_GATEWAY,
    Reply,
    Verdict,
    campaign_part,
    read,
    unasked,
    verdict_of,
)
from rapport.realtime.gateways import PAUSE, TROUBLE_AFTER, Circuit, circuit
from rapport.realtime.matching.releasing import NOT_ACTIVE, refuse, release
from rapport.realtime.models import Gateway
from rapport.realtime.states import FiringState
from rapport.stores import Stores
from rapport.stores.isolating import isolate
from rapport.stores.outside.posting import Poster, signed_headers
from rapport.stores.workers.claiming import ClaimingWorker, is_timely
from rapport.stores.workers.leader import FAULTS
from rapport.stores.workers.listening import Topic

log = structlog.get_logger("rapport.realtime")
VERDICTS = Metric("rapport_gateway_verdicts_total", "Verdicts about triggered firings", ["how", "allowed"])
CLOCK = OUTSIDE_CLOCK
# Between two looks whether everything is settled after an outage.
CAUGHT_UP_SECONDS = 0.02

MAX_AT_ONCE = 512
PER_TENANT = 32
# What a lease lasts beyond the time that the question may take.
SPARE = timedelta(seconds=20)
RETRY_PAUSE = 0.05
# How long what a question says of a campaign may be remembered.
REMEMBERED_SECONDS = 5.0

# Firings to be asked about, of each tenant as many as it has room for. Rows that another process looks at are
# passed over; an expired lease is somebody's who died. Tenants are found by steps through the index.
CLAIM = f"""
WITH RECURSIVE waiting (tenant_id) AS (
    SELECT min(tenant_id) FROM trigger_firings WHERE state = '{FiringState.ASKING}'
    UNION ALL
    SELECT (SELECT min(firing.tenant_id) FROM trigger_firings AS firing WHERE firing.state = '{FiringState.ASKING}'
        AND firing.tenant_id > waiting.tenant_id)
    FROM waiting WHERE waiting.tenant_id IS NOT NULL
),
busy (tenant_id, questions) AS (
    SELECT * FROM unnest(CAST(:tenants AS integer[]), CAST(:questions AS integer[]))
),
due AS MATERIALIZED (
    SELECT asking.id, tenant.tenant_id
    FROM (SELECT * FROM waiting WHERE tenant_id IS NOT NULL ORDER BY random()) AS tenant
    LEFT JOIN busy ON busy.tenant_id = tenant.tenant_id
    CROSS JOIN LATERAL (
        SELECT firing.id FROM trigger_firings AS firing
        WHERE firing.tenant_id = tenant.tenant_id AND firing.state = '{FiringState.ASKING}'
            AND (firing.leased_until IS NULL OR firing.leased_until <= :now)
        ORDER BY firing.id
        LIMIT greatest(:per_tenant - coalesce(busy.questions, 0), 0)
        FOR UPDATE SKIP LOCKED
    ) AS asking
    LIMIT :free
)
UPDATE trigger_firings AS firing
SET leased_until = :now + make_interval(secs => coalesce(gateway.timeout_seconds, 0)) + :spare
FROM due LEFT JOIN gateways AS gateway ON gateway.tenant_id = due.tenant_id
WHERE firing.id = due.id
RETURNING firing.id, firing.tenant_id, firing.series_id, firing.campaign_id, firing.recipient_group_id,
    firing.customer_id, firing.is_visitor, firing.leased_until, gateway.url, gateway.url AS stored_url, gateway.secret,
    CASE WHEN gateway.previous_until > :now THEN gateway.previous_secret END AS previous_secret,
    gateway.timeout_seconds, gateway.retries, gateway.fallback, gateway.failures, gateway.open_until
"""  # noqa: S608 - ours

# The one question that tries whether a gateway is back; nobody else asks until it is answered.
PROBE = """
UPDATE gateways SET open_until = :until
WHERE tenant_id = :tenant_id AND url = :stored_url AND failures >= :trouble
  AND (open_until IS NULL OR open_until <= :now)
RETURNING tenant_id
"""

# Verdicts on those firings that are still the asker's: an expired lease was taken by somebody else.
DECIDE = f"""
UPDATE trigger_firings AS firing SET verdict = CAST(verdicts.verdict AS jsonb), leased_until = NULL
FROM unnest(CAST(:ids AS bigint[]), CAST(:leases AS timestamptz[]), CAST(:verdicts AS text[]))
    AS verdicts (id, lease, verdict)
WHERE firing.tenant_id = :tenant_id AND firing.id = verdicts.id AND firing.leased_until = verdicts.lease
    AND firing.state = '{FiringState.ASKING}'
RETURNING firing.id
"""  # noqa: S608 - ours

GATEWAY_WELL = """
UPDATE gateways SET failures = 0, open_until = NULL WHERE tenant_id = :tenant_id AND url = :stored_url AND failures > 0
"""
GATEWAY_FAILED = """
UPDATE gateways
SET failures = failures + :failures,
    open_until = CASE WHEN failures + :failures >= :trouble THEN CAST(:until AS timestamptz) END
WHERE tenant_id = :tenant_id AND url = :stored_url
"""

GIVE_BACK = f"""
UPDATE trigger_firings AS firing SET leased_until = NULL
FROM unnest(CAST(:ids AS bigint[]), CAST(:leases AS timestamptz[])) AS leases (id, lease)
WHERE firing.id = leases.id AND firing.leased_until = leases.lease AND firing.state = '{FiringState.ASKING}'
"""  # noqa: S608 - ours


@dataclass(frozen=True)
class Question:
    """One leased firing with the gateway to ask; without a url there is none.

    stored_url is the url as it is stored, by which its health is noted unless another has taken its place.
    """

    firing_id: int
    tenant_id: int
    series_id: int
    campaign_id: int
    group: int
    customer_id: str
    is_visitor: bool
    lease: datetime
    url: str | None
    stored_url: str | None
    secret: str
    previous_secret: str | None
    timeout: float
    retries: int
    fallback: str
    failures: int
    open_until: datetime | None

    @property
    def message_id(self) -> str:
        """The webhook-id: the same however often the question is put."""
        identity = f"{self.tenant_id}/firing/{self.firing_id}/gateway"
        return "msg_" + hashlib.sha256(identity.encode()).hexdigest()[:40]


Decided = tuple[Question, Verdict]


class Questions:
    """The questions in the records, seen by one process."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._parts: dict[tuple[int, int, int], tuple[float, dict[str, Any]]] = {}

    def claim(
        self, free: int, busy: dict[int, int], per_tenant: int = PER_TENANT, since: float = 0.0
    ) -> list[Question]:
        """Lease up to free firings that are to be asked about; busy counts the questions a tenant has open here.

        since: when they are wanted, by the monotonic clock, now by default: what was long in coming leases
        nothing, since somebody else may have leased it meanwhile.
        """
        since, now = since or time.monotonic(), CLOCK.now()
        if not is_timely(since, SPARE):
            return []
        parameters = {"tenants": list(busy), "questions": list(busy.values()), "per_tenant": per_tenant, "free": free}
        with self._stores.records.session() as session:
            claimed = text(CLAIM).columns(
                url=Gateway.url.type, secret=Gateway.secret.type, previous_secret=Gateway.previous_secret.type
            )
            rows = session.execute(claimed, {**parameters, "now": now, "spare": SPARE})
            questions = [Question(*row) for row in rows]
        if not is_timely(since, SPARE):
            return []
        active = {
            tenant_id: definitions.active_triggers(self._scope(tenant_id))
            for tenant_id in {question.tenant_id for question in questions}
        }
        for question in questions:
            if question.series_id not in active[question.tenant_id]:
                self._skip(question)
        return [question for question in questions if question.series_id in active[question.tenant_id]]

    def _skip(self, question: Question) -> None:
        """End a firing whose trigger is not active any more; nobody is asked about it."""
        scope = self._scope(question.tenant_id)
        with scope.records() as session:
            refuse(scope, session, question.firing_id, *NOT_ACTIVE)

    def give_back(self, questions: Sequence[Question]) -> None:
        """Let others ask what was leased and will not be asked here."""
        parameters = {
            "ids": [question.firing_id for question in questions],
            "leases": [question.lease for question in questions],
        }
        with self._stores.records.session() as session:
            session.execute(text(GIVE_BACK), parameters)

    def may_probe(self, question: Question) -> bool:
        """Whether this is the one question that may be put while the circuit is half open."""
        now = CLOCK.now()
        parameters = {
            "tenant_id": question.tenant_id,
            "stored_url": question.stored_url,
            "trouble": TROUBLE_AFTER,
            "now": now,
        }
        until = now + timedelta(seconds=question.timeout) + SPARE
        with self._stores.records.session() as session:
            return session.scalar(text(PROBE), {**parameters, "until": until}) is not None

    def body(self, question: Question) -> str:
        """The body of a question, as the contract has it."""
        user = {"user_id": question.customer_id, "is_visitor": question.is_visitor}
        return orjson.dumps({"user": user, "campaign": self._part(question)}).decode()

    def _part(self, question: Question) -> dict[str, Any]:
        key = (question.tenant_id, question.campaign_id, question.group)
        remembered, part = self._parts.get(key, (0.0, {}))
        if not part or time.monotonic() - remembered > REMEMBERED_SECONDS:
            part = campaign_part(self._scope(question.tenant_id), question.campaign_id, question.group)
            self._parts = {k: v for k, v in self._parts.items() if time.monotonic() - v[0] < REMEMBERED_SECONDS}
            self._parts[key] = (time.monotonic(), part)
        return part

    def _scope(self, tenant_id: int) -> Scope:
        return scope_of(self._stores, tenant_id, actor="gateway")

    def settle(self, tenant_id: int, decided: Sequence[Decided]) -> None:
        """Keep verdicts of one tenant and act on them. Raises what the records raise while they are away."""

        def leave(decision: Decided, error: Exception) -> None:
            firing = decision[0].firing_id
            log.error("a verdict cannot be settled; its lease will run out", firing=firing, exc_info=error)

        isolate(decided, partial(self._settle, self._scope(tenant_id)), leave, lambda error: isinstance(error, FAULTS))

    def _settle(self, scope: Scope, decided: Sequence[Decided]) -> None:
        parameters = {
            "tenant_id": scope.tenant_id,
            "ids": [question.firing_id for question, _ in decided],
            "leases": [question.lease for question, _ in decided],
            "verdicts": [orjson.dumps(verdict.kept()).decode() for _, verdict in decided],
        }
        with scope.records() as session:
            ours = set(session.scalars(text(DECIDE), parameters))
            allowed = [q.firing_id for q, verdict in decided if verdict.allowed and q.firing_id in ours]
            if allowed:
                release(scope, session, allowed)
            for question, verdict in decided:
                if not verdict.allowed and question.firing_id in ours:
                    refuse(scope, session, question.firing_id, Outcome.EXCLUDED, verdict.reason)
            _note_health(session, scope.tenant_id, decided)
        for _, verdict in decided:
            VERDICTS.labels(verdict.how, str(verdict.allowed).lower()).inc()


def _note_health(session: Session, tenant_id: int, decided: Sequence[Decided]) -> None:
    """Note how the gateway fares: an answer closes the circuit, too many failures in a row open it."""
    attempts = [(question.stored_url, verdict.how == BY_GATEWAY) for question, verdict in decided if verdict.attempts]
    if not attempts:
        return
    url = attempts[-1][0]
    outcomes = [answered for at, answered in attempts if at == url]
    failures = outcomes[::-1].index(True) if True in outcomes else len(outcomes)
    parameters = {"tenant_id": tenant_id, "stored_url": url}
    if failures < len(outcomes):
        session.execute(text(GATEWAY_WELL), parameters)
    if failures:
        trouble = {"failures": failures, "trouble": TROUBLE_AFTER, "until": CLOCK.now() + PAUSE}
        session.execute(text(GATEWAY_FAILED), {**parameters, **trouble})


class Decider(ClaimingWorker):
    """A thread with an event loop that asks what is to be asked until it is stopped."""

    name = "decider"
    topic = Topic.FIRINGS
    patience = 2.0

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores, threads=6)
        self._questions = Questions(stores)
        self._resolvers = ThreadPoolExecutor(16, "resolve")
        self._open: dict[int, Question] = {}
        self._busy: Counter[int] = Counter()
        self._decided: dict[int, list[Decided]] = {}

    async def opened(self) -> None:
        """Get ready to post."""
        self._poster = Poster(self._resolvers, allow_private=self.stores.settings.allow_private_addresses)

    async def closed(self) -> None:
        """Close every connection, and leave what was not settled to others."""
        await self._poster.close()
        self._resolvers.shutdown(wait=False)
        if self._open:
            await self.in_thread(self._questions.give_back, list(self._open.values()))

    async def take(self) -> None:
        """Claim what there is room for and begin to ask."""
        busy = {tenant: questions for tenant, questions in self._busy.items() if questions}
        free, since = MAX_AT_ONCE - len(self._open), time.monotonic()
        for question in await self.in_thread(self._questions.claim, free, busy, PER_TENANT, since):
            self._open[question.firing_id] = question
            self._busy[question.tenant_id] += 1
            self.begin(self._decide(question), makes_room=False)  # settling does

    async def caught_up(self) -> None:
        """Let all that was decided during an outage be settled, before it is asked again."""
        while any(self._decided.values()):
            await asyncio.sleep(CAUGHT_UP_SECONDS)

    async def _decide(self, question: Question) -> None:
        try:
            verdict = await self._verdict(question)
        except Exception:
            log.exception("a question cannot be put; its lease will run out", firing=question.firing_id)
            self._close([(question, NO_GATEWAY)])
            return
        waiting = self._decided.setdefault(question.tenant_id, [])
        waiting.append((question, verdict))
        if len(waiting) == 1:
            self.begin(self._settle(question.tenant_id))

    async def _verdict(self, question: Question) -> Verdict:
        if question.url is None:
            return NO_GATEWAY
        state = circuit(question.failures, question.open_until)
        if state == Circuit.HALF_OPEN and not await self.in_thread(self._questions.may_probe, question):
            state = Circuit.OPEN
        if state == Circuit.OPEN:
            return unasked(question.fallback)
        began, at = time.monotonic(), CLOCK.now()
        reply, attempts = await self._exchange(question)
        taken = round((time.monotonic() - began) * 1000)
        if reply.allowed is None:
            log.warning("no verdict", tenant=question.tenant_id, firing=question.firing_id, found=reply.phrase)
        return verdict_of(reply, question.fallback, taken, attempts, at)

    async def _exchange(self, question: Question) -> tuple[Reply, int]:
        """Put a question, again after a passing fault as far as time and retries allow; the last reply."""
        assert question.url is not None  # noqa: S101 - tells the type checker
        body = await self.in_thread(self._questions.body, question)
        keys = [question.secret, *([question.previous_secret] if question.previous_secret else [])]
        deadline, attempts = time.monotonic() + question.timeout, 0
        while True:
            attempts += 1
            headers = signed_headers(question.message_id, body, CLOCK.now(), keys)
            left = max(deadline - time.monotonic(), 0.001)
            reply = read(await self._poster.post(question.url, headers, body.encode(), left), question.customer_id)
            pause = RETRY_PAUSE * 2 ** (attempts - 1) * random.uniform(0.5, 1.5)  # noqa: S311
            if not reply.passing or attempts > question.retries or time.monotonic() + pause >= deadline:
                return reply, attempts
            await asyncio.sleep(pause)

    async def _settle(self, tenant_id: int) -> None:
        """Settle verdicts of a tenant, all that have come meanwhile at once, until there are no more."""
        while decided := list(self._decided[tenant_id]):
            try:
                await self.in_thread(self.note, self._questions.settle, tenant_id, decided)
            except Exception:
                log.exception("verdicts cannot be settled; their leases will run out", tenant=tenant_id)
            finally:
                del self._decided[tenant_id][: len(decided)]
            self._close(decided)

    def _close(self, decided: Sequence[Decided]) -> None:
        """Make room again."""
        for question, _ in decided:
            self._open.pop(question.firing_id, None)
            self._busy[question.tenant_id] -= 1
