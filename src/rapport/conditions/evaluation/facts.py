"""What is known of one customer when a condition is evaluated in this process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any


@dataclass(frozen=True, slots=True)
class Facts:
    """One customer as of a tenant day.

    attributes is keyed by upper-case name and holds str, int, Decimal, float, bool, date, naive
    datetime (local time), aware datetime (instant), list or None, as the schema's kind says; an
    absent one counts as None. histories holds the customer's rows by the name of the history, each
    of the class that the history says. Happenings after known_through (today when None) are not counted;
    for the facts of a segment it is the data date, the day before today. reachable are channels that reach it.
    """

    customer_id: str
    today: date
    attributes: Mapping[str, Any] = field(default_factory=dict)
    histories: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    groups: frozenset[int] = frozenset()
    lists: frozenset[int] = frozenset()
    reachable: frozenset[int] = frozenset()
    known_through: date | None = None
