"""At what pace messages leave for each provider: no more an hour than the channel's rate plan says, and none for a
while to one that is slow or puts off what it is sent. Others are not held up by it.

Transactional mail keeps a pace of its own: what campaigns send, and what they are answered, holds up none of it.

What stands of a provider is in the records, so that all processes keep to it together. Times are those outside: mail
servers live by them.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, text

from rapport.access.scope import Scope
from rapport.channels.messages import Message, Receipt
from rapport.channels.models import Channel
from rapport.delivery.models import MailLane, Source, State
from rapport.delivery.outbox import Claim
from rapport.notifications.deliverer import OUTSIDE_CLOCK

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
# A provider is left alone after so many signs in a row that it takes no more. One that lets a message wait for so many
# seconds, or that does not answer at all, gives several at once.
SIGNS, OF_SLOWNESS, SLOW_SECONDS = 20, 5, 5.0
# For so long at first, each time twice as long as the time before; a provider may ask for longer.
FIRST_REST, LONGEST_REST = MINUTE, HOUR

# Seconds that a message waits whose server cannot be reached, each time twice as long.
FIRST_WAIT, LONGEST_WAIT = 2.5, 300.0

# Before the names of the lanes of transactional mail.
TRANSACTIONAL = "trans "

# A count of another hour begins anew; messages are counted up to what is allowed of the hour so far.
TAKE = text("""
    INSERT INTO mail_lanes AS lane (tenant_id, channel_id, name, hour, sent, rests)
    VALUES (:tenant_id, :channel_id, :name, :hour, least(:messages, :allowed), 0)
    ON CONFLICT (tenant_id, channel_id, name) DO UPDATE SET
        hour = excluded.hour,
        sent = CASE WHEN lane.hour = excluded.hour THEN greatest(least(lane.sent + :messages, :allowed), lane.sent)
            ELSE least(:messages, :allowed) END
    RETURNING sent
""")
SENT = text("""
    SELECT sent FROM mail_lanes
    WHERE tenant_id = :tenant_id AND channel_id = :channel_id AND name = :name AND hour = :hour FOR UPDATE
""")
REST = text("""
    INSERT INTO mail_lanes AS lane (tenant_id, channel_id, name, hour, sent, rests, resting_until)
    VALUES (:tenant_id, :channel_id, :name, :hour, 0, :rests, :until)
    ON CONFLICT (tenant_id, channel_id, name) DO UPDATE SET
        rests = :rests, resting_until = greatest(lane.resting_until, excluded.resting_until)
""")


def pause_of(claim: Claim) -> timedelta:
    """How long a claimed message waits whose server cannot be reached."""
    return timedelta(seconds=min(FIRST_WAIT * 2.0 ** min(claim.claims, 10), LONGEST_WAIT))


class Pace:
    """The pace of messages of a source on a channel: get one for what is sent together."""

    def __init__(self, scope: Scope, channel: Channel, source: Source) -> None:
        self._scope, self._channel = scope, channel
        self._stream = TRANSACTIONAL if source is Source.TRANSACTIONAL else ""
        self._plan = channel.behaviour.rate_plan(scope, channel.settings)
        self._resting: dict[str, datetime] = {}
        self._rests: dict[str, int] = {}
        self._signs: Counter[str] = Counter()

    def provider(self, message: Message) -> str:
        """Who takes a message; empty where nothing is paced."""
        return self._channel.behaviour.provider(message.to)

    def held(self, messages: Sequence[Message]) -> dict[str, datetime]:
        """Which messages must not leave now, by id, and when to try them; the others count as sent."""
        by_provider: dict[str, list[Message]] = defaultdict(list)
        for message in messages:
            if provider := self.provider(message):
                by_provider[provider].append(message)
        self._read(by_provider)
        today, hosts = OUTSIDE_CLOCK.now().date(), self._hosts(by_provider)
        held: dict[str, datetime] = {}
        by_lane: dict[tuple[str, int], list[Message]] = defaultdict(list)
        for provider, own in by_provider.items():
            until = self.resting_until(provider)
            limit = self._plan.allowed(provider, today, hosts.get(provider, ())) if self._plan else None
            if until is not None:
                held |= {message.message_id: until for message in own}
            elif limit is not None:
                by_lane[limit] += own
        for (name, per_hour), own in by_lane.items():
            granted, next_at = self._take(name, per_hour, len(own))
            held |= {message.message_id: next_at for message in own[granted:]}
        return held

    def _hosts(self, providers: Collection[str]) -> Mapping[str, Sequence[str]]:
        """Who takes the mail of providers, as far as the rate plan asks for it."""
        undecided = self._plan.undecided(providers) if self._plan else []
        return self._channel.behaviour.mail_servers(self._scope, undecided) if undecided else {}

    def resting_until(self, provider: str) -> datetime | None:
        """Until when a provider is left alone; None where messages may leave for it."""
        until = self._resting.get(provider)
        return until if until is not None and until > OUTSIDE_CLOCK.now() else None

    def heard(self, answers: Iterable[tuple[str, Receipt]]) -> None:
        """Judge answers to first tries, by provider; what is put off once more at a later try says nothing new."""
        for provider, receipt in answers:
            if not provider or receipt.away:
                continue
            put_off = State(receipt.outcome) is State.FAILED and not receipt.permanent
            if receipt.seconds >= SLOW_SECONDS:
                self._signs[provider] += OF_SLOWNESS
            elif put_off:
                self._signs[provider] += 1
            else:
                self._signs[provider] = 0
            if self._signs[provider] >= SIGNS and self.resting_until(provider) is None:
                self._rest(provider, timedelta(seconds=receipt.retry_after if put_off else 0.0))

    def _rest(self, provider: str, wished: timedelta) -> None:
        rests = self._rests.get(provider, 0) + 1
        pause = max(wished, min(FIRST_REST * 2 ** min(rests - 1, 10), LONGEST_REST))
        now = OUTSIDE_CLOCK.now()
        until = now + pause
        self._resting[provider], self._rests[provider], self._signs[provider] = until, rests, 0
        with self._scope.records() as session:
            session.execute(REST, {**self._lane(provider, now), "rests": rests, "until": until})

    def _read(self, providers: Iterable[str]) -> None:
        """What stands of providers; rests that ended long ago are forgotten."""
        now = OUTSIDE_CLOCK.now()
        query = select(MailLane).where(
            MailLane.tenant_id == self._scope.tenant_id,
            MailLane.channel_id == self._channel.id,
            MailLane.name.in_([self._stream + provider for provider in providers]),
            MailLane.resting_until > now - LONGEST_REST,
        )
        with self._scope.reads() as session:
            for lane in session.scalars(query):
                if lane.resting_until is not None:
                    provider = lane.name.removeprefix(self._stream)
                    self._resting[provider], self._rests[provider] = lane.resting_until, lane.rests

    def _take(self, name: str, per_hour: int, messages: int) -> tuple[int, datetime]:
        """How many of so many messages may leave now, and when the next may: an hour's are spread over its minutes."""
        now = OUTSIDE_CLOCK.now()
        lane = self._lane(f"rate {name}", now)
        allowed = math.ceil(per_hour * (now.minute + 1) / 60)
        with self._scope.records() as session:
            before = session.scalar(SENT, lane) or 0
            after = session.scalars(TAKE, {**lane, "messages": messages, "allowed": allowed}).one()
        # The first minute of the hour of which more is allowed than has been sent.
        minute = max(math.floor(after * 60 / per_hour), now.minute + 1)
        return after - before, lane["hour"] + minute * MINUTE

    def _lane(self, name: str, now: datetime) -> dict[str, object]:
        hour = now.replace(minute=0, second=0, microsecond=0)
        own = {"tenant_id": self._scope.tenant_id, "channel_id": self._channel.id}
        return {**own, "name": self._stream + name, "hour": hour}
