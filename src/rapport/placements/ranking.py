"""How likely a customer is to bet next on each of the open events, markets and selections.

The chance of an item is a product of shares, from the category down: of the category, of the league in it, of the
event in the league, of the market in the event, of the selection in the market. Each share is that of the customer's
own faded bets, to which the share among all customers is added as if it were so many bets more (OWN_COUNTS_HALF_AT):
without own bets, what remains is popularity. For leagues, the share among all customers is the larger the more often
customers of the same leagues bet on the league. Own bets on an event are those that name one of its participants.
A part of the chance of an event (FOLLOWS) is its popularity alone.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rapport.placements.betting import Activity
from rapport.placements.crowd import EVERYBODY, Crowd, Group
from rapport.placements.weights import Weights, mixed, shares
from rapport.sports.offers import OpenEvent, OpenOffer, participants_named

HALF_LIFE_DAYS = 30.0
OWN_COUNTS_HALF_AT = 5.0
# Customers of two leagues from which on it is more likely than not no accident that they are so many.
SURE_AT = 20.0
# How many bets follow what everybody bets on, whatever the customer likes.
FOLLOWS = 0.3
# What each item is worth without any bet on it.
UNSEEN = 3.0
# An event that was bet on names its participants; the selection names whom the bet was for.
OF_EVENT = 0.5


@dataclass
class Tastes:
    """A customer's own bets, faded by their age, by what they were on. Names are in lower case."""

    total: float = 0.0
    categories: Weights[str] = field(default_factory=Weights[str])
    leagues: Weights[Group] = field(default_factory=Weights[Group])
    participants: Weights[str] = field(default_factory=Weights[str])
    markets: Weights[str] = field(default_factory=Weights[str])
    selections: Weights[str] = field(default_factory=Weights[str])


def tastes_of(activity: Activity, now: datetime) -> Tastes:
    """What a customer likes at an instant."""
    tastes = Tastes()
    for bet in activity.bets:
        weight = bet.weight * 0.5 ** ((now - bet.at).total_seconds() / 86400 / HALF_LIFE_DAYS)
        tastes.total += weight
        tastes.categories[bet.category] += weight
        tastes.leagues[bet.category, bet.group] += weight
        tastes.markets[bet.market_name.lower()] += weight
        tastes.selections[bet.selection_name.lower()] += weight
        tastes.participants[bet.selection_name.lower()] += weight
        for name in participants_named(bet.event_name):
            tastes.participants[name] += weight * OF_EVENT
    return tastes


def event_chances(events: Sequence[OpenEvent], tastes: Tastes, crowd: Crowd) -> dict[str, float]:
    """The chance of each open event, by key; all together 1."""
    heat = {event.key: crowd.events[event.key] + UNSEEN for event in events}
    leagues: dict[Group, list[OpenEvent]] = defaultdict(list)
    for event in events:
        leagues[event.league].append(event)
    heat_of_league = {league: sum(heat[event.key] for event in members) for league, members in leagues.items()}
    chances: dict[str, float] = {}
    for league, chance in _league_chances(heat_of_league, tastes, crowd).items():
        members = leagues[league]
        own = {event.key: sum(tastes.participants[name] for name in event.participants) for event in members}
        in_league = mixed({event.key: heat[event.key] for event in members}, own, OWN_COUNTS_HALF_AT)
        chances.update({key: chance * share for key, share in in_league.items()})
    popular = shares(heat)
    return {key: (1 - FOLLOWS) * chance + FOLLOWS * popular[key] for key, chance in chances.items()}


def _league_chances(heat: Mapping[Group, float], tastes: Tastes, crowd: Crowd) -> dict[Group, float]:
    general = _with_neighbours(shares(heat), tastes, crowd)
    categories: Weights[str] = Weights()
    for (category, _), share in general.items():
        categories[category] += share
    of_category = mixed(
        categories, {category: tastes.categories[category] for category in categories}, OWN_COUNTS_HALF_AT
    )
    chances: dict[Group, float] = {}
    for category, chance in of_category.items():
        inside = {league: share for league, share in general.items() if league[0] == category}
        in_category = mixed(inside, {league: tastes.leagues[league] for league in inside}, OWN_COUNTS_HALF_AT)
        chances.update({league: chance * share for league, share in in_category.items()})
    return chances


def _with_neighbours(general: dict[Group, float], tastes: Tastes, crowd: Crowd) -> dict[Group, float]:
    """Shares of leagues among all customers, as far as customers of this customer's leagues have more of them."""
    return shares(
        {
            league: share
            * sum(weight * _affinity(own, league, crowd) for own, weight in tastes.leagues.items())
            / tastes.total
            for league, share in general.items()
        }
    )


def _affinity(own: Group, other: Group, crowd: Crowd) -> float:
    """How many times as many customers have two leagues as if one had nothing to do with the other; 1 of the same."""
    everybody = crowd.together.get(EVERYBODY, {})
    if own == other or not everybody:
        return 1.0
    expected = everybody.get(own, 0.0) * everybody.get(other, 0.0) / everybody[EVERYBODY]
    return (crowd.together.get(own, {}).get(other, 0.0) + SURE_AT) / (expected + SURE_AT)


def offer_chances(
    offers: Iterable[OpenOffer], events: Mapping[str, float], tastes: Tastes, crowd: Crowd
) -> dict[tuple[str, str], float]:
    """The chance of each open market or selection of some events, by event and key. events: the chances of those."""
    of_event: dict[str, dict[str, list[OpenOffer]]] = defaultdict(lambda: defaultdict(list))
    for offer in offers:
        of_event[offer.event_key][offer.market_key].append(offer)
    chances: dict[tuple[str, str], float] = {}
    for event_key, markets in of_event.items():
        names = {market: members[0].market_name.lower() for market, members in markets.items()}
        heat = {market: crowd.markets[event_key, market] + _popularity(crowd, name) for market, name in names.items()}
        of_market = mixed(heat, {market: tastes.markets[name] for market, name in names.items()}, OWN_COUNTS_HALF_AT)
        for market, members in markets.items():
            inside = _selection_shares(members, tastes, crowd)
            chances.update(
                {(event_key, key): events[event_key] * of_market[market] * share for key, share in inside.items()}
            )
    return chances


def _popularity(crowd: Crowd, market_name: str) -> float:
    """What a market is worth before anybody bets on it: the share of markets of its name, among all, and a little."""
    return UNSEEN * (crowd.market_names[market_name] + UNSEEN) / (sum(crowd.market_names.values()) + UNSEEN)


def _selection_shares(offers: Sequence[OpenOffer], tastes: Tastes, crowd: Crowd) -> dict[str, float]:
    """The shares of the offers of one market: of a market itself 1."""
    heat = {offer.key: crowd.selections[offer.event_key, offer.key] + UNSEEN for offer in offers}
    return mixed(
        heat, {offer.key: tastes.selections[offer.selection_name.lower()] for offer in offers}, OWN_COUNTS_HALF_AT
    )
