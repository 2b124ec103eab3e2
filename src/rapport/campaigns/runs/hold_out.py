"""The global hold-out: customers whom no series and no trigger may write to, to measure what all of them bring.

Who is in it follows from a hash of its salt and the customer alone: a customer stays where it is, and a new one is
drawn when it arrives. A larger share takes customers in and lets none out, another salt draws everybody anew.

What goes to an address reaches everybody who has it. So nobody is written to who shares an address with a customer in
the hold-out, though it is not in it: where customers are compared, each counts on the side that it was drawn to.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.campaigns.models import Occurrence
from rapport.campaigns.runs.splits import cut_of, hold_out_part, hold_out_part_sql
from rapport.campaigns.settings import CampaignSettings, HoldOut
from rapport.campaigns.states import LIVE_STATES
from rapport.channels import addresses as channel_addresses
from rapport.channels.kinds.base import OWN_ID
from rapport.customers import attributes as customer_attributes
from rapport.errors import Conflict

# For so long the addresses of the hold-out hold for triggers, in seconds, and those of so many tenants are at hand.
KNOWN_SECONDS, KNOWN_TENANTS = 60.0, 64
ADDRESSES = """
    SELECT {columns} FROM (SELECT * FROM profiles WHERE data_date = {{data_date:Date}} AND {held_out}) AS profile
"""
_cache: OrderedDict[tuple[str, ...], tuple[float, Mapping[str, frozenset[str]]]] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True)
class ActiveHoldOut:
    """A hold-out that holds, with the keys of its customers' addresses (see channels.address_key) by attribute."""

    hold_out: HoldOut
    addresses: Mapping[str, frozenset[str]]

    def has(self, customer_id: str) -> bool:
        """Whether a customer is in it."""
        return is_held_out(self.hold_out, customer_id)

    def has_address(self, addresses: Mapping[str, str]) -> bool:
        """Whether one of its customers has an address of somebody.

        addresses has that person's address in every attribute that the campaign's channels go to, by its upper-case
        name; an empty text for none.
        """
        key_sets = [self.addresses.get(name, frozenset[str]()) for name in addresses]
        keys = [channel_addresses.address_key(address) for address in addresses.values()] if any(key_sets) else []
        return any(key in key_set for key in keys for key_set in key_sets)


def active_hold_out(scope: Scope, day: date, attributes: Collection[str]) -> ActiveHoldOut | None:
    """The hold-out that holds on a day, with its addresses in some attributes; these may be a minute old."""
    hold_out = hold_out_on(scope, day)
    return ActiveHoldOut(hold_out, _addresses(scope, hold_out, attributes)) if hold_out else None


def _addresses(scope: Scope, hold_out: HoldOut, attributes: Collection[str]) -> Mapping[str, frozenset[str]]:
    data_date = scope.data_date()
    names = sorted({attribute.upper() for attribute in attributes} - {OWN_ID, ""})
    if data_date is None or not names:
        return {}
    key = (scope.warehouse.name, data_date.isoformat(), hold_out.salt, str(cut_of(hold_out.share)), *names)
    with _lock:
        read_at, address_keys = _cache.get(key, (None, {}))
    if read_at is not None and time.monotonic() - read_at < KNOWN_SECONDS:
        return address_keys
    columns = ", ".join(customer_attributes.rendered(info) for info in customer_attributes.find(scope, names))
    sql = ADDRESSES.format(columns=columns, held_out=held_out_sql("customer_id"))
    rows = scope.warehouse.rows(sql, data_date=data_date, **hold_out_parameters(hold_out))
    address_keys = (
        {name: _keys(texts) for name, texts in zip(names, zip(*rows, strict=True), strict=True)} if rows else {}
    )
    with _lock:
        _cache[key] = (time.monotonic(), address_keys)
        while len(_cache) > KNOWN_TENANTS:
            _cache.popitem(last=False)
    return address_keys


def _keys(texts: Iterable[str | None]) -> frozenset[str]:
    return frozenset(map(channel_addresses.address_key, texts)) - {""}


def hold_out_on(scope: Scope, day: date) -> HoldOut | None:
    """The tenant's hold-out if it holds for what leaves on a day of the tenant."""
    hold_out = tenant_settings(scope, CampaignSettings).hold_out
    return hold_out if hold_out and day >= hold_out.start_date else None


def is_held_out(hold_out: HoldOut | None, customer_id: str) -> bool:
    """Whether a hold-out has a customer, whose id is taken in any case."""
    if hold_out is None:
        return False
    return hold_out_part(hold_out.salt, customer_id) < cut_of(hold_out.share)


def held_out_sql(customer_id: str) -> str:
    """The same as SQL over a column, with what hold_out_parameters gives."""
    return f"{hold_out_part_sql('{hold_out_salt:String}', customer_id)} < {{hold_out_cut:UInt32}}"


def hold_out_parameters(hold_out: HoldOut) -> dict[str, Any]:
    """What the SQL binds."""
    return {"hold_out_salt": hold_out.salt, "hold_out_cut": cut_of(hold_out.share)}


def check_change(stored: Scope, changed: Scope, session: Session) -> None:
    """A hold-out begins, or is another, on a day of which no message can have left and no run is processed.

    session is the transaction that changes it. Raises Conflict.
    """
    before, after = (tenant_settings(scope, CampaignSettings).hold_out for scope in (stored, changed))
    if after is None or after == before:
        return
    last = stored.today()
    processed = select(func.max(Occurrence.send_date)).where(
        Occurrence.tenant_id == stored.tenant_id,
        Occurrence.state.in_(LIVE_STATES),
        Occurrence.is_triggered.is_(False),
    )
    last = max(last, session.scalar(processed) or last)
    if after.start_date <= last:
        raise Conflict(
            f"settings.campaigns.hold_out needs a start_date after {last}: messages up to that day are already decided."
        )
