"""Redemptions: a customer uses a code, once for each idempotency key, within the budgets of its promotion.

Whoever redeems while a transaction is under way goes into the next one, with all others of the tenant who wait: a
budget that many take of is counted once for all of them. Each has a verdict of its own (see entering). A redemption can
be reserved first, for a checkout that is not paid yet: until then it counts like a committed one.
"""

import asyncio
import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import TypeVar

from sqlalchemy import select, text

from rapport.access.scope import Scope
from rapport.errors import Conflict, NotFound, RapportError, Unavailable
from rapport.promotions.deciding import Context, Decision
from rapport.promotions.validating import validate_each
from rapport.redemptions import ending
from rapport.redemptions.asking import Request, Target
from rapport.redemptions.entering import Candidate, Verdict, enter
from rapport.redemptions.models import Redemption
from rapport.redemptions.refusals import BudgetExceeded, CodeRedeemed, CustomerLimitReached, NotCombinable, NotEligible
from rapport.redemptions.targets import targets_of
from rapport.stores import Stores
from rapport.stores.gathering import Gathering

__all__ = ["Request", "redeem", "redeem_each", "redeem_soon", "redemption"]

LONGEST_RESERVATION = timedelta(days=30)
KEYS_USED = text("""
    SELECT idempotency_key FROM redemptions WHERE tenant_id = :tenant_id AND idempotency_key = ANY(:keys)
""")
USED = "The Idempotency-Key was used for another redemption."
# In a transaction: they hold up each other, and what is validated by key is few.
MOST_AT_ONCE = 40
MOST_WAITING = 500
MAY_BE_FREED = (BudgetExceeded, CustomerLimitReached, CodeRedeemed, NotCombinable)
T = TypeVar("T", Target, Decision)


# A redemption, and whether it was done before; or why there is none.
Answer = tuple[Redemption, bool] | RapportError
Requests = Mapping[int, Request]  # by the places of their answers


class Redeemers:
    """The callers of a process who redeem at the same time: those of a tenant go into one transaction."""

    def __init__(self, stores: Stores) -> None:
        self._gathering: Gathering[tuple[Scope, Request], Answer] = Gathering(
            "redemptions", _redeemed, lambda waiting: min(len(waiting), MOST_AT_ONCE)
        )

    def redeem(self, scope: Scope, request: Request) -> Answer:
        """Redeem or reserve, together with those who wait."""
        return self._gathering.ask(scope.tenant_id, (scope, request))

    def submit(self, scope: Scope, request: Request) -> Future[Answer]:
        """The same for a caller that does not wait here. Raises Unavailable where too many wait."""
        if self._gathering.waiting(scope.tenant_id) >= MOST_WAITING:
            raise Unavailable("So many redemptions of this tenant are under way that no more can wait: try again.")
        return self._gathering.submit(scope.tenant_id, (scope, request))

    def stop(self) -> None:
        """Let the threads end."""
        self._gathering.stop()


def redeem(scope: Scope, request: Request) -> tuple[Redemption, bool]:
    """Redeem or reserve; whether it was done before under the same key, and this is its answer.

    Raises NotFound for an unknown code, Conflict (see refusals) and Invalid; nothing is kept then, so that the key can
    be used again.
    """
    return _granted(_redeemers(scope).redeem(scope, request))


def redeem_each(scope: Scope, requests: Sequence[Request]) -> list[Answer]:
    """Redeem or reserve for several requests in order, some dozens in a transaction; refusals are among the answers."""
    each = [(scope, request) for request in requests]
    return [
        answer
        for begin in range(0, len(each), MOST_AT_ONCE)
        for answer in _redeemed(each[begin : begin + MOST_AT_ONCE])
    ]


async def redeem_soon(scope: Scope, request: Request) -> tuple[Redemption, bool]:
    """The same on an event loop, which it does not hold up. Raises Unavailable where too many wait, too."""
    return _granted(await asyncio.wrap_future(_redeemers(scope).submit(scope, request)))


def _redeemers(scope: Scope) -> Redeemers:
    return scope.stores.workers.only(Redeemers, scope.stores)


def _granted(answer: Answer) -> tuple[Redemption, bool]:
    if isinstance(answer, RapportError):
        raise answer
    return answer


def _redeemed(asked: Sequence[tuple[Scope, Request]]) -> list[Answer]:
    """The answers to requests of one tenant, in order."""
    scope, requests = asked[0][0], dict(enumerate(request for _, request in asked))
    answers = _of_keys(scope, requests)
    targets: dict[int, Target] = {}
    for place, target in targets_of(scope, _without(requests, answers)).items():
        _sort(place, target, targets, answers)
    decisions: dict[int, Decision] = {}
    for place, decision in _decisions(scope, requests, targets).items():
        _sort(place, decision, decisions, answers)
    candidates = {place: Candidate(requests[place], targets[place], decisions[place]) for place in sorted(decisions)}
    for place, verdict in _verdicts(scope, candidates).items():
        if verdict is not None:
            answers[place] = verdict if isinstance(verdict, RapportError) else (verdict, False)
    answers |= _of_keys(scope, _without(requests, answers))
    under_way = "Another redemption with this Idempotency-Key was under way: try again."
    return [answers.get(place) or Conflict(under_way) for place in requests]


def _without(requests: Requests, answers: Mapping[int, Answer]) -> Requests:
    return {place: request for place, request in requests.items() if place not in answers}


def _sort(place: int, value: T | RapportError, values: dict[int, T], answers: dict[int, Answer]) -> None:
    """Put a value with its like, an error with the answers."""
    if isinstance(value, RapportError):
        answers[place] = value
    else:
        values[place] = value


def _verdicts(scope: Scope, candidates: Mapping[int, Candidate]) -> dict[int, Verdict]:
    """What becomes of candidates."""
    verdicts = _entered(scope, candidates)
    again = {place: candidates[place] for place, verdict in verdicts.items() if isinstance(verdict, MAY_BE_FREED)}
    concerned = {(each.target.promotion_id, each.request.order_id) for each in again.values()}
    # What is reserved in vain may be what is missing.
    if sum(ending.expire_due(scope, *each) for each in concerned):
        verdicts |= _entered(scope, again)
    return verdicts


def _entered(scope: Scope, candidates: Mapping[int, Candidate]) -> dict[int, Verdict]:
    if not candidates:
        return {}
    return dict(zip(candidates, enter(scope, list(candidates.values())), strict=True))


def redemption(scope: Scope, id: str) -> Redemption:
    """A redemption by its id. Raises NotFound."""
    with scope.reads() as session:
        stored = session.get(Redemption, (scope.tenant_id, id))
    if stored is None:
        raise NotFound(f"There is no redemption {id!r}.")
    return stored


def _of_keys(scope: Scope, requests: Requests) -> dict[int, Answer]:
    """What was redeemed under the keys of requests before; a Conflict where that was something else."""
    if not requests:
        return {}
    parameters = {"tenant_id": scope.tenant_id, "keys": list({each.idempotency_key for each in requests.values()})}
    with scope.reads() as session:
        used = session.scalars(KEYS_USED, parameters).all()
        of_keys = select(Redemption).where(
            Redemption.tenant_id == scope.tenant_id, Redemption.idempotency_key.in_(used)
        )
        by_key = {each.idempotency_key: each for each in session.scalars(of_keys)} if used else {}
    answers: dict[int, Answer] = {}
    for place, request in requests.items():
        earlier = by_key.get(request.idempotency_key)
        if earlier is not None:
            is_same = earlier.request == request.digest
            answers[place] = (earlier, True) if is_same else Conflict(USED)
    return answers


def _decisions(scope: Scope, requests: Requests, targets: Mapping[int, Target]) -> dict[int, Decision | RapportError]:
    """What promotions grant; NotEligible, and what validation raises, as values."""
    by_promotion: dict[str, list[int]] = defaultdict(list)
    for place, target in targets.items():
        by_promotion[target.promotion_id].append(place)
    decisions: dict[int, Decision | RapportError] = {}
    for promotion_id, places in by_promotion.items():
        contexts = [Context(requests[place].customer_id, requests[place].session) for place in places]
        try:
            decided: Sequence[Decision | RapportError] = validate_each(scope, promotion_id, contexts)
        except RapportError as error:
            decided = [copy.copy(error) for _ in places]
        decisions |= dict(zip(places, map(_granting, decided), strict=True))
    return decisions


def _granting(decision: Decision | RapportError) -> Decision | RapportError:
    if isinstance(decision, RapportError) or decision.tier is not None:
        return decision
    return NotEligible(f"Customer {decision.customer_id!r} gets nothing from this promotion: {decision.reason}.")
