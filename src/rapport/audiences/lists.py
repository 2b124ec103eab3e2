"""Fixed lists of customers as target groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from sqlalchemy import func, select

from rapport.access.scope import Scope
from rapport.audiences import queries
from rapport.audiences.groups import create_target_group
from rapport.audiences.models import CustomerList, TargetGroup
from rapport.errors import Conflict, Invalid
from rapport.stores.records import next_id
from rapport.stores.warehouse import identifier

MAX_LIST = 1_000_000
MAX_LISTS = 10_000


@dataclass(frozen=True)
class ListMade:
    """A customer list: its ids, how many of the given customers exist, and those that do not."""

    target_group_id: int
    list_id: int
    name: str
    existing: int
    missing: list[str]


def create_customer_list(scope: Scope, name: str, customer_ids: list[str]) -> ListMade:
    """Keep the given customers that exist as a list, and make a target group of it.

    Raises Invalid for an empty or too long list, a name in use or when none of the ids is a customer's.
    """
    spellings = {
        customer_id.strip().lower(): customer_id.strip() for customer_id in customer_ids if customer_id.strip()
    }
    if not spellings or len(spellings) > MAX_LIST:
        raise Invalid(f"customers must name 1 to {MAX_LIST} customers.")
    keys = list(spellings)
    existing = _existing(scope, keys)
    if not existing:
        raise Invalid("customers has no ID of a customer.")
    with scope.records() as session:
        _check(scope, name)
        list_id = next_id(session, scope.tenant_id, "customer list")
    # A list is written before the group that makes it seen, so a kill between leaves nothing half-made in sight.
    scope.warehouse.execute(queries.FILL_LIST, None, list=list_id, keys=keys)
    try:
        group = create_target_group(scope, name, {"list": list_id})
    except Conflict as error:
        raise Invalid(f"list-name: {error.message}") from error
    _keep(scope, list_id, group, len(existing))
    return ListMade(
        group.id, list_id, group.name, len(existing), [spellings[key] for key in spellings if key not in existing]
    )


def unknown_customers(scope: Scope, customer_ids: Sequence[str], most: int) -> list[str]:
    """The first of some ids that are no customer's whose data were loaded, at most so many, in order."""
    spellings = {customer_id.strip().lower(): customer_id.strip() for customer_id in customer_ids}
    existing = _existing(scope, list(spellings))
    return [spelling for key, spelling in spellings.items() if key not in existing][:most]


def _existing(scope: Scope, keys: Sequence[str]) -> set[str]:
    """Those of some ids in lower case that are customers'."""
    return {customer_id.lower() for (customer_id,) in scope.warehouse.rows(queries.KNOWN_CUSTOMERS, keys=keys)}


def keep_list(scope: Scope, list_id: int, customer_ids: Sequence[str]) -> None:
    """Keep ids as a list without a target group: of customers as the warehouse spells them, others as given."""
    staging = f"list_{list_id}_given"
    table = identifier(staging)
    scope.warehouse.execute(f"CREATE TABLE {table} (customer_id String) ENGINE = Memory")
    try:
        scope.warehouse.insert_arrow(staging, pa.table({"customer_id": pa.array(customer_ids, pa.string())}))
        scope.warehouse.execute(queries.ADD_TO_LIST.format(staging=table), list=list_id)
    finally:
        scope.warehouse.execute(f"DROP TABLE IF EXISTS {table}")


def _check(scope: Scope, name: str) -> None:
    groups = (TargetGroup.tenant_id == scope.tenant_id, TargetGroup.archived.is_(False))
    with scope.reads() as session:
        same = select(TargetGroup.id).where(*groups, func.lower(TargetGroup.name) == name.strip().lower())
        if session.scalar(same) is not None:
            raise Invalid(f"list-name: there is a target group named {name.strip()!r} already.")
        lists = select(func.count()).select_from(CustomerList).where(CustomerList.tenant_id == scope.tenant_id)
        if session.scalar(lists) == MAX_LISTS:
            raise Invalid(f"There are {MAX_LISTS} customer lists already, which is the limit.")


def _keep(scope: Scope, list_id: int, group: TargetGroup, size: int) -> None:
    with scope.records() as session:
        session.add(
            CustomerList(
                tenant_id=scope.tenant_id,
                id=list_id,
                name=group.name,
                target_group_id=group.id,
                size=size,
                created_at=scope.clock.now(),
            )
        )
