"""Promotions that are ready to be evaluated, kept in this process until something changes that they depend on."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.errors import RapportError
from rapport.promotions.deciding import Basis, Validator, basis, validator
from rapport.promotions.editing import promotion
from rapport.stores import Stores
from rapport.stores.gathering import THREADS

MOST, MOST_TENANTS = 5000, 500
# The versions of a promotion and of its tenant, and what else decides what its conditions mean: the day, the attributes
# of customers and their words of consent.
STATE = text("""
    SELECT promotion.id, promotion.version, promotion.created_at, promotion_tenant.version, promotion_tenant.created_at,
        tenant.last_data_date, md5(CAST(tenant.settings AS text)), tenant.currency, tenant.time_zone,
        (SELECT md5(string_agg(CAST(attribute AS text), '' ORDER BY real_field_name)) FROM attributes AS attribute
            WHERE attribute.tenant_id = :tenant_id)
    FROM tenants AS tenant
    LEFT JOIN promotions AS promotion ON promotion.tenant_id = tenant.id AND promotion.id = ANY(:ids)
    LEFT JOIN promotion_tenants AS promotion_tenant ON promotion_tenant.tenant_id = tenant.id
    WHERE tenant.id = :tenant_id
""")
OF_PROMOTION = 2  # so many of its columns after the id are of the promotion, the others of the tenant

Key = tuple[int, str]
P = ParamSpec("P")
T = TypeVar("T")


class Validators:
    """The promotions that were evaluated last."""

    def __init__(self, stores: Stores) -> None:
        self._kept: OrderedDict[Key, tuple[Any, Validator]] = OrderedDict()
        self._bases: OrderedDict[int, tuple[Any, Basis]] = OrderedDict()
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(THREADS, "promotions")

    def of(self, scope: Scope, id: str) -> Validator:
        """What decides about customers of a promotion. Raises NotFound, and Conflict when it is not active."""
        return self._of(scope, id, self._states(scope, [id])[id])

    def of_each(self, scope: Scope, ids: Sequence[str]) -> dict[str, Validator | RapportError]:
        """The same of several promotions, by their ids; NotFound and Conflict as values."""
        validators: dict[str, Validator | RapportError] = {}
        for id, state in self._states(scope, ids).items():
            try:
                validators[id] = self._of(scope, id, state)
            except RapportError as error:
                validators[id] = error
        return validators

    def kept(self, scope: Scope, ids: Sequence[str]) -> dict[str, Validator]:
        """Those of promotions that were asked for before, by their ids, whatever has changed since."""
        with self._lock:
            return {id: self._kept[scope.tenant_id, id][1] for id in ids if (scope.tenant_id, id) in self._kept}

    def soon(self, read: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Read something that promotions need while the caller does something else, with as much patience as it has."""
        return self._threads.submit(copy_context().run, partial(read, *arguments, **named))

    def _of(self, scope: Scope, id: str, state: Any) -> Validator:
        key = (scope.tenant_id, id)
        with self._lock:
            kept_state, kept = self._kept.get(key, (None, None))
            if kept is not None and kept_state == state:
                self._kept.move_to_end(key)
                return kept
        fresh = validator(scope, promotion(scope, id), self._basis(scope, state[OF_PROMOTION:]))
        with self._lock:
            self._kept[key] = (state, fresh)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return fresh

    def _basis(self, scope: Scope, state: Any) -> Basis:
        """What the promotions of the tenant have in common in a state of all but the promotion."""
        with self._lock:
            kept_state, kept = self._bases.get(scope.tenant_id, (None, None))
        if kept is not None and kept_state == state:
            return kept
        fresh = basis(scope)
        with self._lock:
            self._bases[scope.tenant_id] = (state, fresh)
            self._bases.move_to_end(scope.tenant_id)
            while len(self._bases) > MOST_TENANTS:
                self._bases.popitem(last=False)
        return fresh

    def stop(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False)

    @staticmethod
    def _states(scope: Scope, ids: Sequence[str]) -> dict[str, Any]:
        """What validators depend on, by the ids of their promotions: first what is of the promotion."""
        with scope.stores.records.reading() as connection:
            rows = connection.execute(STATE, {"tenant_id": scope.tenant_id, "ids": list(ids)}).all()
        of_tenant = tuple(rows[0][1 + OF_PROMOTION :])
        # Before the first data date it is the day that decides.
        day = None if rows[0].last_data_date else scope.today()
        of_promotions = {row[0]: tuple(row[1 : 1 + OF_PROMOTION]) for row in rows}
        return {id: (*of_promotions.get(id, (None,) * OF_PROMOTION), *of_tenant, day) for id in ids}


def validators(stores: Stores) -> Validators:
    """Those of this process for an installation."""
    return stores.workers.only(Validators, stores)
