"""What is known of one customer when a condition is evaluated in this process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Item:
    """A line of a transaction."""

    product_id: str
    quantity: float
    unit_price: float
    category: str = ""
    is_return: bool = False


@dataclass(frozen=True, slots=True)
class Transaction:
    """An order, deposit or bet; time is the tenant's wall clock, naive."""

    time: datetime
    amount: float
    type: str = "order"
    status: str = ""
    platform: str = ""
    promo_code: str = ""
    items: Sequence[Item] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """An activity event; at is aware."""

    event_type: int
    at: datetime
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CampaignReceipt:
    """A row of a campaign's audience, on its send day. sent tells whether it left; action 1 is the control group."""

    execution_date: date
    campaign: int
    action: int
    channel: int
    series: int = 0
    template: int = 0
    sent: bool = True


@dataclass(frozen=True, slots=True)
class Interaction:
    """What a recipient did: event is a number of histories.INTERACTIONS, at is aware."""

    at: datetime
    event: int
    campaign: int
    action: int = 0
    channel: int = 0
    series: int = 0
    template: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """One customer as of a tenant day.

    attributes is keyed by upper-case name and holds str, int, Decimal, float, bool, date, naive
    datetime (local time), aware datetime (instant), list or None, as the schema's kind says; an
    absent one counts as None. Happenings after known_through (today when None) are not counted;
    for the facts of a segment it is the data date, the day before today. reachable are channels that reach it.
    """

    customer_id: str
    today: date
    attributes: Mapping[str, Any] = field(default_factory=dict)
    transactions: Sequence[Transaction] = ()
    events: Sequence[Event] = ()
    campaigns: Sequence[CampaignReceipt] = ()
    interactions: Sequence[Interaction] = ()
    groups: frozenset[int] = frozenset()
    lists: frozenset[int] = frozenset()
    reachable: frozenset[int] = frozenset()
    known_through: date | None = None
