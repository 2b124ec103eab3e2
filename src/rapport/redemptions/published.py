"""Rewards that campaigns published: each counts like a redemption, until its customer redeems the promotion.

From then on the redemption counts in its place. What was published to a customer who did not get the campaign after all
is given back.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.redemptions.budgets import counters_in, lock_name
from rapport.redemptions.counting import Ledger, Reward, Taker
from rapport.redemptions.states import RedemptionState
from rapport.stores.records import share

COLUMNS = (
    "redemption.id, redemption.promotion_id, redemption.person, redemption.campaign_id, redemption.rewards, counted_on"
)
# All who lock several of them do so in one order.
ORDER = "ORDER BY redemption.promotion_id, redemption.person, redemption.created_at, redemption.id"
LOCK = "FOR UPDATE OF redemption"
OF_PERSONS = f"""
    SELECT {COLUMNS}
    FROM unnest(CAST(:promotion_ids AS text[]), CAST(:persons AS text[])) AS asked (promotion_id, person)
    INNER JOIN redemptions AS redemption ON redemption.tenant_id = :tenant_id AND redemption.person = asked.person
        AND redemption.promotion_id = asked.promotion_id
    WHERE redemption.is_published AND redemption.state = '{RedemptionState.PUBLISHED}'
    {ORDER}
"""  # noqa: S608 - constants
OF_CAMPAIGN = f"""
    FROM redemptions AS redemption
    WHERE redemption.tenant_id = :tenant_id AND redemption.campaign_id = :campaign_id AND redemption.is_published
        AND redemption.state = '{RedemptionState.PUBLISHED}'
"""
PERSONS = text(f"""
    SELECT DISTINCT redemption.person {OF_CAMPAIGN} AND redemption.person > :after
    ORDER BY redemption.person LIMIT :limit
""")
TO_PERSONS = f"{OF_CAMPAIGN} AND redemption.person = ANY(CAST(:persons AS text[]))"
WITH_FIRINGS = f"""
    FROM redemptions AS redemption
    WHERE redemption.tenant_id = :tenant_id AND redemption.firing_id = ANY(CAST(:firing_ids AS bigint[]))
        AND redemption.state = '{RedemptionState.PUBLISHED}'
"""
END = text("""
    UPDATE redemptions SET state = :state, ended_at = :now
    WHERE tenant_id = :tenant_id AND id = ANY(CAST(:ids AS text[]))
""")


@dataclass(frozen=True)
class Published:
    """What a campaign published to a customer and what counts since."""

    id: str
    taker: Taker
    campaign_id: int
    rewards: Sequence[Reward]


class PublishedRewards:
    """What is published of promotions to those who take of them, each to be redeemed once."""

    def __init__(self, records: Session | Connection, takers: Iterable[Taker], *, locks: bool = True) -> None:
        """locks: in a transaction that redeems it."""
        self._of: dict[tuple[str, str], list[Published]] = defaultdict(list)
        keys = sorted({(taker.tenant_id, taker.promotion_id, taker.person) for taker in takers})
        if keys:
            parameters = {
                "tenant_id": keys[0][0],
                "promotion_ids": [promotion_id for _, promotion_id, _ in keys],
                "persons": [person for *_, person in keys],
            }
            statement = text(f"{OF_PERSONS} {LOCK}" if locks else OF_PERSONS)
            for row in records.execute(statement, parameters):
                self._of[row.promotion_id, row.person].append(_read(keys[0][0], row))

    def __iter__(self) -> Iterator[Published]:
        """All of it."""
        return (published for of_person in self._of.values() for published in of_person)

    def of(self, taker: Taker, campaign_id: int | None) -> Published | None:
        """What a redemption stands for: of the campaign, or the oldest where the redemption names none."""
        fitting = (
            published
            for published in self._of.get((taker.promotion_id, taker.person), ())
            if campaign_id in (None, published.campaign_id)
        )
        return next(fitting, None)

    def redeemed(self, published: Published) -> None:
        """Leave it out from now on."""
        self._of[published.taker.promotion_id, published.taker.person].remove(published)


def end(scope: Scope, session: Session, ids: Collection[str], state: RedemptionState) -> None:
    """Let what was published count no more, for a reason; the caller gives it back."""
    if ids:
        parameters = {"tenant_id": scope.tenant_id, "ids": list(ids), "state": state, "now": scope.clock.now()}
        session.execute(END, parameters)


def persons_of(scope: Scope, campaign_id: int, after: str, limit: int) -> list[str]:
    """Persons, behind one of them in their order, to whom a campaign published what counts."""
    parameters = {"tenant_id": scope.tenant_id, "campaign_id": campaign_id, "after": after, "limit": limit}
    with scope.reads() as session:
        return list(session.scalars(PERSONS, parameters))


def take_back(scope: Scope, campaign_id: int, persons: Collection[str]) -> None:
    """Give back to budgets what a campaign published to persons and they have not redeemed. May be repeated."""
    if not persons:
        return
    parameters = {"campaign_id": campaign_id, "persons": list(persons)}
    with scope.records() as session:
        _take_back(scope, session, TO_PERSONS, parameters)


def take_back_of_firings(scope: Scope, session: Session, firing_ids: Collection[int]) -> None:
    """Give back what was published with firings that did not go out, in the caller's transaction. May be repeated."""
    if firing_ids:
        _take_back(scope, session, WITH_FIRINGS, {"firing_ids": list(firing_ids)})


def _take_back(scope: Scope, session: Session, which: str, values: Mapping[str, Any]) -> None:
    """Give back what a FROM and WHERE of ours, with its values, names."""
    parameters = {"tenant_id": scope.tenant_id, **values}
    of_promotions = text(f"SELECT DISTINCT redemption.promotion_id {which} ORDER BY 1")
    promotion_ids = session.scalars(of_promotions, parameters).all()
    if not promotion_ids:
        return
    for promotion_id in promotion_ids:
        share(session, scope.tenant_id, lock_name(promotion_id))
    counters = counters_in(session.connection(), scope.tenant_id, promotion_ids)
    to_take_back = text(f"SELECT {COLUMNS} {which} {ORDER} {LOCK}")
    taken = [_read(scope.tenant_id, row) for row in session.execute(to_take_back, parameters)]
    of_each = [(published, counters.get(published.taker.promotion_id, [])) for published in taken]
    ledger = Ledger(session, [(published.taker, counted) for published, counted in of_each])
    for published, counted in of_each:
        ledger.release(published.taker, counted, published.rewards)
    end(scope, session, [published.id for published in taken], RedemptionState.ROLLED_BACK)
    ledger.write(session)


def _read(tenant_id: int, row: Any) -> Published:
    taker = Taker(tenant_id, row.promotion_id, row.person, row.counted_on)
    return Published(row.id, taker, row.campaign_id, row.rewards)
