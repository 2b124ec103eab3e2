"""Who else follows events, beside the triggers: packages above this one that move customers on by them.

What a follower does with events stands in the transaction that marks them as handled, and the campaigns that it brings
customers to are decided together with those of triggers.
"""

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import TextClause
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.realtime.matching.candidates import Candidate
from rapport.realtime.matching.catalogue import Catalogue
from rapport.realtime.matching.evaluating import Arrival


class Follower(Protocol):
    """One of them. tenants_due selects the ids of tenants of whom something is due by the clock, and binds now."""

    @property
    def tenants_due(self) -> TextClause:
        """SQL of the records."""

    def events(self, catalogue: Catalogue) -> frozenset[str]:
        """The names of the events that matter to a tenant now."""

    def follow(self, session: Session, catalogue: Catalogue, arrivals: Sequence[Arrival]) -> list[Candidate]:
        """Take events, in the order of their times, in the caller's transaction; the campaigns that they lead to."""

    def due(self, scope: Scope, session: Session) -> list[int]:
        """What is due by the clock, by number, the oldest first, some at once."""

    def carry_out(self, session: Session, catalogue: Catalogue, numbers: Sequence[int]) -> list[Candidate]:
        """Carry out what is due, in the caller's transaction; the campaigns that it leads to."""

    def give_up(self, scope: Scope, number: int, error: Exception) -> None:
        """End what cannot be carried out, so that it holds up no other."""


_followers: list[Follower] = []


def register_follower(follower: Follower) -> None:
    """Let a package follow events."""
    _followers.append(follower)


def followers() -> Sequence[Follower]:
    """All of them."""
    return _followers


def followed(catalogue: Catalogue) -> frozenset[str]:
    """The names of the events that matter to any of them."""
    return frozenset[str]().union(*(follower.events(catalogue) for follower in _followers))
