"""How redemptions end: a reserved one is committed, rolled back or expires; a committed one can be rolled back.

What does not stay gives back, in the same transaction, what it took: its code and its part of the budgets.
"""

from collections.abc import Collection

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from rapport.access.scope import Scope, scope_of
from rapport.errors import Conflict, NotFound
from rapport.promotions.codes import code_key
from rapport.redemptions import counting
from rapport.redemptions.budgets import lock_name
from rapport.redemptions.counting import Taker
from rapport.redemptions.models import PromoCode, Redemption
from rapport.redemptions.states import LIVE, RedemptionState
from rapport.stores import Stores
from rapport.stores.records import share

AT_ONCE = 200


def taker_of(redemption: Redemption) -> Taker:
    """Whose redemption it is, and of which day, for the counters."""
    return Taker(redemption.tenant_id, redemption.promotion_id, redemption.person, redemption.counted_on)


def commit(scope: Scope, id: str) -> Redemption:
    """Make a reservation final; a committed one stays as it is. Raises NotFound, Conflict."""
    now = scope.clock.now()
    with scope.records() as session:
        due = (Redemption.state == RedemptionState.RESERVED, Redemption.reserved_until > now)
        values = {"state": RedemptionState.COMMITTED, "ended_at": now}
        committed: Redemption | None = session.scalar(
            update(Redemption)
            .where(Redemption.tenant_id == scope.tenant_id, Redemption.id == id, *due)
            .values(values)
            .returning(Redemption)
        )
    if committed is not None:
        return committed
    stored = _stored(scope, id)
    if stored.state == RedemptionState.COMMITTED:
        return stored
    if stored.state == RedemptionState.RESERVED:
        _end(scope, stored, RedemptionState.EXPIRED, (RedemptionState.RESERVED,))
        raise Conflict(f"The reservation {id!r} has expired.")
    raise Conflict(f"The redemption {id!r} is {stored.state}; only a reserved one can be committed.")


def roll_back(scope: Scope, id: str) -> Redemption:
    """Take a redemption back; one that was taken back or has expired stays as it is. Raises NotFound."""
    stored = _stored(scope, id)
    return _end(scope, stored, RedemptionState.ROLLED_BACK, LIVE) or _stored(scope, id)


def expire_due(scope: Scope, promotion_id: str, order_id: str | None) -> int:
    """End the reservations of a promotion, and of an order, whose time is over; how many they were."""
    concerned = Redemption.promotion_id == promotion_id
    if order_id is not None:
        concerned = or_(concerned, Redemption.order_id == order_id)
    with scope.reads() as session:
        due = session.scalars(
            select(Redemption)
            .where(
                Redemption.tenant_id == scope.tenant_id,
                concerned,
                Redemption.state == RedemptionState.RESERVED,
                Redemption.reserved_until <= scope.clock.now(),
            )
            .limit(AT_ONCE)
        ).all()
    return sum(_expire(scope, each) for each in due)


def expire_next(stores: Stores) -> int:
    """End the reservations of all tenants whose time is over, as many as AT_ONCE; how many they were."""
    with stores.records.reads() as session:
        due = session.scalars(
            select(Redemption)
            .where(Redemption.state == RedemptionState.RESERVED, Redemption.reserved_until <= stores.clock.now())
            .order_by(Redemption.reserved_until)
            .limit(AT_ONCE)
        ).all()
    return sum(_expire(scope_of(stores, each.tenant_id), each) for each in due)


def _expire(scope: Scope, reserved: Redemption) -> bool:
    return _end(scope, reserved, RedemptionState.EXPIRED, (RedemptionState.RESERVED,)) is not None


def _stored(scope: Scope, id: str) -> Redemption:
    with scope.reads() as session:
        stored = session.get(Redemption, (scope.tenant_id, id))
    if stored is None:
        raise NotFound(f"There is no redemption {id!r}.")
    return stored


def _end(
    scope: Scope, redemption: Redemption, state: RedemptionState, ending: Collection[RedemptionState]
) -> Redemption | None:
    """End a redemption that is in one of some states, and give back what it took; None when it is in another."""
    with scope.records() as session:
        share(session, scope.tenant_id, lock_name(redemption.promotion_id))
        ended = session.scalar(
            update(Redemption)
            .where(
                Redemption.tenant_id == scope.tenant_id,
                Redemption.id == redemption.id,
                Redemption.state.in_(ending),
            )
            .values(state=state, ended_at=scope.clock.now())
            .returning(Redemption)
        )
        if ended is not None:
            _free_code(session, ended)
            counting.give_back(session, taker_of(ended), ended.rewards)
        return ended


def _free_code(session: Session, ended: Redemption) -> None:
    session.execute(
        update(PromoCode)
        .where(
            PromoCode.tenant_id == ended.tenant_id,
            PromoCode.code_key == code_key(ended.code),
            PromoCode.redemption_id == ended.id,
        )
        .values(redemption_id=None)
    )
