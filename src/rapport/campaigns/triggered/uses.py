"""What packages above this one ask of customers and events, as triggers do: it is kept computed and not taken away."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rapport.access.scope import Scope
from rapport.campaigns.triggered.schemas import EventMatch
from rapport.conditions import Condition


@dataclass(frozen=True)
class Use:
    """One user, in words for people, with its conditions on customers, its events with where they stand in it, and the
    attributes that it writes, in upper case, the campaigns that it starts, and the target groups whose members it
    follows. One that is not active asks nothing now.
    """

    user: str
    is_active: bool
    conditions: tuple[Condition, ...]
    matches: tuple[tuple[str, EventMatch], ...]
    written: frozenset[str]
    campaigns: frozenset[int]
    followed_groups: frozenset[int]


_sources: list[Callable[[Scope], Iterable[Use]]] = []


def register_uses(source: Callable[[Scope], Iterable[Use]]) -> None:
    """Let a package say what it uses; archived users are left out."""
    _sources.append(source)


def uses(scope: Scope) -> Iterator[Use]:
    """What all packages above use."""
    for source in _sources:
        yield from source(scope)
