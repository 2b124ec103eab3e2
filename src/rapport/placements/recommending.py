"""What a placement recommends to a customer: the likeliest of what can be bet on, or products of the daily model."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from rapport.access.scope import Scope
from rapport.errors import Invalid
from rapport.insight import recommended
from rapport.placements import betting, ranking
from rapport.placements.crowd import Crowd, crowd_of
from rapport.placements.definitions import DisplayRules, Order, PlacementDefinition, Product
from rapport.placements.kept import kept
from rapport.placements.ranking import Tastes
from rapport.sports import offers
from rapport.sports.definitions import Kind
from rapport.sports.offers import OfferFilter, OpenEvent, OpenOffer

# Markets and selections are chosen from so many events, the likeliest.
MOST_EVENTS_OF_OFFERS = 50
# Popular products change with the data of a day.
POPULAR_SECONDS, MOST_POPULAR = 3600.0, 500


class Basis(StrEnum):
    """What a recommendation is based on: the customer's own activity, or that of all customers."""

    PERSONAL = "personal"
    POPULAR = "popular"


@dataclass(frozen=True)
class Asked:
    """What a request asks: for whom, in which category (key or name), and what not to recommend.

    excluded are keys of selections, or ids of products.
    """

    product: Product
    customer_id: str
    category: str | None = None
    in_bet_slip: bool = False
    excluded: Collection[str] = ()


@dataclass(frozen=True)
class Item:
    """A recommended record or product, with its members as they were sent."""

    kind: str
    members: Mapping[str, Any]
    score: float
    basis: Basis


@dataclass(frozen=True)
class _Candidate:
    """A record that can be recommended, with what it is ordered by besides its score."""

    kind: Kind
    event: OpenEvent
    key: str
    market_key: str
    display_order: int | None
    members: Mapping[str, Any]
    score: float

    def by_display(self) -> tuple[Any, ...]:
        orders = ((order is None, order or 0) for order in (self.event.display_order, self.display_order))
        return (*orders, *self.by_start())

    def by_start(self) -> tuple[Any, ...]:
        starts_at = self.event.starts_at
        return (starts_at.timestamp() if starts_at else float("inf"), self.event.key, self.key)

    def by_score(self) -> tuple[Any, ...]:
        return (-self.score, *self.by_display())


def recommend(scope: Scope, brand: str, placement: PlacementDefinition, asked: Asked) -> list[Item]:
    """The items that a placement shows to a customer now, best first or in the order of its rules.

    Raises Invalid when the request asks for another product than the placement has.
    """
    if asked.product is not placement.product:
        raise Invalid(f"context.product must be {placement.product}, which the placement shows.")
    if placement.product is Product.PRODUCTS:
        return _products(scope, placement, asked)
    return _of_sports(scope, brand, placement, asked)


def _of_sports(scope: Scope, brand: str, placement: PlacementDefinition, asked: Asked) -> list[Item]:
    types = betting.type_ids(scope)
    activity = betting.activity_of(scope, types, asked.customer_id)
    tastes, crowd = ranking.tastes_of(activity, scope.clock.now()), crowd_of(scope, types)
    basis = Basis.PERSONAL if tastes.total else Basis.POPULAR
    events = _events(scope, brand, placement.rules, asked, activity.in_slip if asked.in_bet_slip else ())
    level = placement.level or Kind.EVENT
    candidates = _ranked_events(events, tastes, crowd)
    if level is not Kind.EVENT:
        candidates = _ranked_offers(scope, brand, level, placement.rules, candidates, tastes, crowd)
    best = sorted(candidates, key=_Candidate.by_score)
    chosen = _one_of_a_market(best)[: placement.most_items] if level is Kind.SELECTION else best[: placement.most_items]
    if placement.rules.order is Order.START:
        chosen.sort(key=_Candidate.by_start)
    elif placement.rules.order is Order.DISPLAY:
        chosen.sort(key=_Candidate.by_display)
    return [Item(candidate.kind.lower(), candidate.members, candidate.score, basis) for candidate in chosen]


def _events(
    scope: Scope, brand: str, rules: DisplayRules, asked: Asked, in_slip: Collection[tuple[str, str]]
) -> list[OpenEvent]:
    """The open events that rules and request allow: none of a selection that is in the slip or excluded."""
    hours = rules.starts_within_hours
    starts_before = None if hours is None else scope.clock.now() + timedelta(hours=hours)
    offer_filter = OfferFilter(asked.category, rules.categories, rules.excluded_categories, starts_before)
    events = offers.open_events(scope, brand, offer_filter)
    # An event that does not say of which event a selection is, tells its key only.
    left_out = {event_key for event_key, _ in in_slip}
    selections = {*asked.excluded, *(key for event_key, key in in_slip if not event_key)}
    left_out |= offers.events_of(scope, brand, [event.key for event in events], selections)
    return [event for event in events if event.key not in left_out]


def _ranked_events(events: Sequence[OpenEvent], tastes: Tastes, crowd: Crowd) -> list[_Candidate]:
    """Events with their chance for this customer; or, of a customer without bets, how many bet on them."""
    scores = ranking.event_chances(events, tastes, crowd) if tastes.total else crowd.events
    return [_Candidate(Kind.EVENT, event, event.key, "", None, event.members, scores[event.key]) for event in events]


def _ranked_offers(
    scope: Scope,
    brand: str,
    level: Kind,
    rules: DisplayRules,
    events: Sequence[_Candidate],
    tastes: Tastes,
    crowd: Crowd,
) -> list[_Candidate]:
    """Markets or selections of the best events, with their scores as those of events."""
    best = {candidate.key: candidate for candidate in sorted(events, key=_Candidate.by_score)[:MOST_EVENTS_OF_OFFERS]}
    opened = offers.open_offers(scope, brand, level, list(best), rules.least_odds, rules.most_odds)
    scores: Mapping[tuple[str, str], float]
    if tastes.total:
        chances = {key: candidate.score for key, candidate in best.items()}
        scores = ranking.offer_chances(opened, chances, tastes, crowd)
    else:
        scores = crowd.markets if level is Kind.MARKET else crowd.selections
    return [_offer(offer, best[offer.event_key].event, scores[offer.event_key, offer.key]) for offer in opened]


def _offer(offer: OpenOffer, event: OpenEvent, score: float) -> _Candidate:
    return _Candidate(offer.kind, event, offer.key, offer.market_key, offer.display_order, offer.members, score)


def _one_of_a_market(best: Sequence[_Candidate]) -> list[_Candidate]:
    """The first selection of each market: the others contradict it. Those without a market have none in common."""
    first: dict[tuple[str, ...], _Candidate] = {}
    for candidate in best:
        key = (candidate.event.key, candidate.market_key, "" if candidate.market_key else candidate.key)
        first.setdefault(key, candidate)
    return list(first.values())


def _products(scope: Scope, placement: PlacementDefinition, asked: Asked) -> list[Item]:
    """The customer's products of the daily model, then the most popular ones; each active and allowed."""
    own = recommended.products_of(scope, asked.customer_id)
    popular = kept(scope.stores).of(
        scope, f"products {scope.data_date()}", POPULAR_SECONDS, lambda: recommended.popular(scope, MOST_POPULAR)
    )
    ids = {product.product_id for product in own}
    listed = [(product, Basis.PERSONAL) for product in own]
    listed += [(product, Basis.POPULAR) for product in popular if product.product_id not in ids]
    allowed = [(product, basis) for product, basis in listed if _is_allowed(product, placement.rules, asked)]
    return [
        Item(
            "product",
            {"product_id": product.product_id, "name": product.name, "category": product.category},
            product.score,
            basis,
        )
        for product, basis in allowed[: placement.most_items]
    ]


def _is_allowed(product: recommended.Product, rules: DisplayRules, asked: Asked) -> bool:
    category = product.category.lower()
    only = [name.lower() for name in rules.categories]
    return (
        product.product_id not in asked.excluded
        and (asked.category is None or category == asked.category.lower())
        and (not only or category in only)
        and category not in (name.lower() for name in rules.excluded_categories)
    )
