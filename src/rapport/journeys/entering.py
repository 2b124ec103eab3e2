"""Customers come into a journey: each by one thing once, never while inside, and as often as its rule lets them."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns.triggered.schemas import ReEntry, ReEntryRule
from rapport.journeys.schemas import JourneyBody
from rapport.journeys.states import MemberState

EVER = datetime(1970, 1, 1, tzinfo=UTC)
MOST_EVER = 2**31 - 1
ENTER = text(f"""
    INSERT INTO journey_members
        (tenant_id, journey_id, version, person, customer_id, entry_key, parameters, state, step, taken, entered_at,
         since, due_at, ending, reason)
    SELECT :tenant_id, :journey_id, :version, person, customer_id, entry_key, parameters, '{MemberState.ACTIVE}', '', 0,
        at, at, :now, '', ''
    FROM json_to_recordset(CAST(:rows AS json)) AS entering(
        place int, person text, customer_id text, entry_key text, parameters jsonb, at timestamptz
    )
    WHERE (
        SELECT count(*) FROM journey_members AS earlier
        WHERE earlier.tenant_id = :tenant_id AND earlier.journey_id = :journey_id
            AND earlier.person = entering.person AND earlier.entered_at > :since
    ) < :times
    ORDER BY place
    ON CONFLICT DO NOTHING RETURNING id
""")  # noqa: S608 - ours


@dataclass(frozen=True, slots=True)
class Entrant:
    """A customer who is to come in, the key of what brings it, and when this happened; without a time it is now."""

    customer_id: str
    key: str
    at: datetime | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


def key_of(*parts: object) -> str:
    """A key made of what brings a customer in."""
    return hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=20).hexdigest()


def enter(
    scope: Scope, session: Session, journey_id: int, version: int, body: JourneyBody, entrants: Iterable[Entrant]
) -> list[int]:
    """Let customers come in, in the caller's transaction; the numbers of those who did.

    Whether they meet the conditions of the journey, or are held out, is seen when they take the first step.
    """
    now = scope.clock.now()
    rows = [
        {
            "place": place,
            "person": entrant.customer_id.lower(),
            "customer_id": entrant.customer_id,
            "entry_key": entrant.key,
            "parameters": dict(entrant.parameters),
            "at": min(entrant.at or now, now),
        }
        for place, entrant in enumerate(entrants)
    ]
    if not rows:
        return []
    times, since = _limit(body.re_entry, now)
    parameters = {
        "tenant_id": scope.tenant_id,
        "journey_id": journey_id,
        "version": version,
        "now": now,
        "since": since,
        "times": times,
        "rows": orjson.dumps(rows).decode(),
    }
    return list(session.scalars(ENTER, parameters))


def _limit(re_entry: ReEntry | ReEntryRule, now: datetime) -> tuple[int, datetime]:
    """How often a customer may have come in at most, and since when that counts."""
    if isinstance(re_entry, ReEntry):
        return re_entry.times, now - timedelta(days=re_entry.days)
    return (1, EVER) if re_entry is ReEntryRule.ONCE else (MOST_EVER, EVER)
