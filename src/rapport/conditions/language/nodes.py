"""The parsed condition: a tree of frozen nodes. path is where a leaf stood in the JSON, for errors."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from rapport.conditions.language.literals import Scalar
from rapport.conditions.language.operators import Operator
from rapport.conditions.measures import Measure


@dataclass(frozen=True, slots=True)
class Every:
    """True when every part is; with no parts, true of everyone."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """True when at least one part is."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True when its part is false."""

    part: "Condition"


@dataclass(frozen=True, slots=True)
class Comparison:
    """An operator and its value: a scalar, a tuple of scalars, or None."""

    operator: Operator
    value: Scalar | tuple[Scalar, ...] | None
    path: str = field(default="definition", compare=False)


@dataclass(frozen=True, slots=True)
class AttributeIs:
    """A comparison of an attribute (batch, API, calculated or model result)."""

    name: str
    comparison: Comparison
    path: str = field(default="definition", compare=False)


@dataclass(frozen=True, slots=True)
class Window:
    """Days of a history: the last `days`, or from `start` to `end`, both included; None is open."""

    days: int | None = None
    start: date | None = None
    end: date | None = None


@dataclass(frozen=True, slots=True)
class HistoryIs:
    """A comparison of a measure over a customer's rows of a history that pass filters within a window.

    history is its name. filters maps a filter's name to the values of which one must match; properties does so for
    the named properties of a row.
    """

    history: str
    measure: Measure
    comparison: Comparison
    filters: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    properties: tuple[tuple[str, tuple[str, ...]], ...] = ()
    window: Window = Window()

    def filter(self, name: str) -> tuple[Any, ...] | None:
        """The values of a filter, or None when it is not set."""
        return dict(self.filters).get(name)


@dataclass(frozen=True, slots=True)
class InGroup:
    """Membership of a target group, as computed for the data date."""

    group_id: int


@dataclass(frozen=True, slots=True)
class InList:
    """Being on a stored customer list."""

    list_id: int


@dataclass(frozen=True, slots=True)
class CustomerIs:
    """Being one of a few customers by id, compared ignoring case; ids are folded."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reachable:
    """Being one whom a channel reaches, by the rules of campaigns."""

    channel_id: int


Condition = Every | Some | Not | AttributeIs | HistoryIs | InGroup | InList | CustomerIs | Reachable


def leaves(condition: Condition) -> Iterator[Condition]:
    """The leaves of a tree, left to right."""
    if isinstance(condition, Every | Some):
        for part in condition.parts:
            yield from leaves(part)
    elif isinstance(condition, Not):
        yield from leaves(condition.part)
    else:
        yield condition


def attributes_in(condition: Condition) -> set[str]:
    """The attributes that a condition compares, in upper case."""
    return {leaf.name.upper() for leaf in leaves(condition) if isinstance(leaf, AttributeIs)}


def channels_in(condition: Condition) -> set[int]:
    """The channels of which a condition asks whom they reach."""
    return {leaf.channel_id for leaf in leaves(condition) if isinstance(leaf, Reachable)}


def groups_in(condition: Condition) -> set[int]:
    """The target groups that a condition depends on."""
    return {leaf.group_id for leaf in leaves(condition) if isinstance(leaf, InGroup)}
