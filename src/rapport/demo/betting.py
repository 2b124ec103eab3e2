"""A small sports inventory, and what simulated customers bet on before and after an instant.

Customers have tastes, which they share in part with others of their kind: leagues, and often a team. Half of their bets
follow their taste, a third what everybody talks about, the rest nothing. What follows from this for recommendations is
nothing that this module knows of.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rapport.access.scope import Scope
from rapport.customers import event_types
from rapport.customers.activity import add_activity
from rapport.messaging.topics import brand_groups
from rapport.placements import service
from rapport.placements.definitions import DisplayRules, PlacementDefinition, Product
from rapport.sports import storing
from rapport.sports.definitions import MOST_RECORDS, Kind, Operation, read

Floats = NDArray[np.float64]
# Sports with the names of their leagues; the first of each are the best known.
LEAGUES = {
    "Football": ("Premier", "Second", "Northern", "Southern", "Cup"),
    "Tennis": ("Open", "Challenger", "Juniors"),
    "Basketball": ("National", "Regional", "College"),
    "Ice hockey": ("National", "Regional"),
    "Cycling": ("Tour", "Classics"),
    "Darts": ("Masters", "Open"),
    "Handball": ("National", "Cup"),
}
TEAMS, GAMES_A_DAY = 12, 2  # of a league
HISTORY_DAYS, OPEN_DAYS, HELD_OUT_DAYS = 28, 2, 1
KINDS, KIND_SHARE = 5, 0.5  # kinds of customers, and how much of a taste is that of the kind
TASTE, TALK = 0.5, 0.35  # parts of all bets; the rest is noise
WITH_TEAM, LOYALTY = 0.6, 8.0
ADDED, PLACED = "ootb_added_to_bet_slip", "ootb_sports_bet_placed"
LEFT_IN_SLIP = 0.1
PLACEMENTS = {"sports-events": Kind.EVENT, "sports-selections": Kind.SELECTION}


@dataclass(frozen=True)
class Game:
    """An event of a league. talk is how much people talk about it."""

    key: str
    league: int
    teams: tuple[str, str]
    starts_at: datetime
    talk: float


@dataclass(frozen=True)
class DemoBet:
    """What a customer put into a slip, and whether the bet was placed."""

    customer_id: str
    at: datetime
    game: Game
    market: int
    selection: int
    is_placed: bool


class BettingWorld:
    """Games around an instant and the bets of some customers on them, until HELD_OUT_DAYS after the instant."""

    def __init__(self, customer_ids: Sequence[str], now: datetime, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.now = now
        self.leagues = [(sport, league) for sport, leagues in LEAGUES.items() for league in leagues]
        # The third league of a sport is a third as well known as its first.
        self.fame: Floats = np.array(
            [1 / (1 + leagues.index(name)) for leagues in LEAGUES.values() for name in leagues]
        )
        self.fame *= self.rng.gamma(2, 0.5, len(self.fame))
        self.games = sorted(self._games(), key=lambda game: game.starts_at)
        self.bets = sorted(self._bets(customer_ids), key=lambda bet: bet.at)

    def _games(self) -> Iterator[Game]:
        for league, (sport, name) in enumerate(self.leagues):
            for day in range(-HISTORY_DAYS, OPEN_DAYS + HELD_OUT_DAYS):
                teams = self.rng.permutation(TEAMS)
                for number in range(GAMES_A_DAY):
                    starts_at = self.now + timedelta(days=day, hours=float(self.rng.uniform(0, 24)))
                    pair = tuple(f"{sport} {name} {chr(65 + int(team))}" for team in teams[2 * number : 2 * number + 2])
                    talk = float(self.rng.lognormal(0, 0.7))
                    yield Game(f"{league}-{day}-{number}", league, (pair[0], pair[1]), starts_at, talk)

    def _bets(self, customer_ids: Sequence[str]) -> Iterator[DemoBet]:
        starts = np.array([game.starts_at.timestamp() for game in self.games])
        league = np.array([game.league for game in self.games])
        talk = np.array([game.talk for game in self.games]) * self.fame[league]
        kinds = [self._taste() for _ in range(KINDS)]
        first, span = self.now - timedelta(days=HISTORY_DAYS), HISTORY_DAYS + HELD_OUT_DAYS
        for customer_id in customer_ids:
            taste = KIND_SHARE * kinds[int(self.rng.integers(KINDS))] + (1 - KIND_SHARE) * self._taste()
            loyal = self._loyalty(taste)
            liked = taste[league] * talk / self.fame[league] * loyal
            for days in self.rng.uniform(0, span, self.rng.poisson(span * self.rng.gamma(1.2, 0.4))):
                at = first + timedelta(days=float(days))
                opened = slice(*np.searchsorted(starts, [at.timestamp(), at.timestamp() + OPEN_DAYS * 86400]))
                weights = self._mood(liked[opened], talk[opened])
                game = self.games[opened.start + int(self.rng.choice(len(weights), p=weights / weights.sum()))]
                market = int(self.rng.random() < 0.3)
                is_placed = bool(self.rng.random() >= LEFT_IN_SLIP)
                yield DemoBet(customer_id, at, game, market, int(self.rng.integers(2)), is_placed)

    def _taste(self) -> Floats:
        """How much a customer likes each league: few sports much, better known leagues more."""
        sports = dict(zip(LEAGUES, self.rng.dirichlet(np.full(len(LEAGUES), 0.4)), strict=True))
        liked = (
            np.array([sports[sport] for sport, _ in self.leagues]) * self.fame * self.rng.gamma(1, 1, len(self.fame))
        )
        return np.asarray(liked / liked.sum())

    def _loyalty(self, taste: Floats) -> Floats:
        """How much more a customer likes each game for the team that plays."""
        if self.rng.random() >= WITH_TEAM:
            return np.ones(len(self.games))
        sport, league = self.leagues[int(self.rng.choice(len(taste), p=taste))]
        team = f"{sport} {league} {chr(65 + int(self.rng.integers(TEAMS)))}"
        return np.array([LOYALTY if team in game.teams else 1.0 for game in self.games])

    def _mood(self, liked: Floats, talk: Floats) -> Floats:
        luck = self.rng.random()
        if luck < TASTE:
            return liked
        return talk if luck < TASTE + TALK else np.ones(len(talk))

    def open_games(self) -> list[Game]:
        """The games that can be bet on at the instant."""
        until = self.now + timedelta(days=OPEN_DAYS)
        return [game for game in self.games if self.now < game.starts_at <= until]

    def records(self) -> list[dict[str, Any]]:
        """The inventory at the instant, parents first."""
        inventory: list[dict[str, Any]] = [
            {"categoryKey": _key(sport), "categoryName": sport, "displayOrder": place}
            for place, sport in enumerate(LEAGUES)
        ]
        for sport, league in self.leagues:
            type_key = f"{_key(sport)}-{_key(league)}"
            inventory.append({"typeKey": type_key, "categoryKey": _key(sport), "typeName": f"{league} league"})
        for game in self.open_games():
            inventory += self._of_game(game)
        return inventory

    def _of_game(self, game: Game) -> Iterator[dict[str, Any]]:
        sport, league = self.leagues[game.league]
        yield {
            "eventKey": game.key,
            "typeKey": f"{_key(sport)}-{_key(league)}",
            "eventName": " v ".join(game.teams),
            "homeName": game.teams[0],
            "awayName": game.teams[1],
            "eventDateTime": f"{game.starts_at:%Y-%m-%dT%H:%M:%SZ}",
        }
        for market, (name, selections) in enumerate(_markets(game)):
            market_key = f"{game.key}-{market}"
            yield {"marketKey": market_key, "eventKey": game.key, "marketName": name}
            for number, selection in enumerate(selections):
                yield {
                    "selectionKey": f"{market_key}-{number}",
                    "eventKey": game.key,
                    "marketKey": market_key,
                    "selectionName": selection,
                    "decPrice": 1.5 + 0.5 * number + 0.25 * market,
                }

    def activity(self, scope: Scope, bets: Sequence[DemoBet]) -> list[dict[str, Any]]:
        """Bets as rows of activity: added to the slip, and placed a minute later."""
        ids = event_types.ensure(scope, [ADDED, PLACED])
        rows = []
        for number, bet in enumerate(bets):
            values = self._parameters(bet, number)
            for name, at in ((ADDED, bet.at), (PLACED, bet.at + timedelta(minutes=1)))[: 1 + bet.is_placed]:
                rows.append(
                    {
                        "event_id": f"bet-{number}-{ids[name]}",
                        "event_type_id": ids[name],
                        "customer_id": bet.customer_id,
                        "event_at": at,
                        "properties": list(values.items()),
                        "visitor_id": "",
                        "origin": "file",
                        "seq": 0,
                    }
                )
        return rows

    def _parameters(self, bet: DemoBet, number: int) -> dict[str, str]:
        sport, league = self.leagues[bet.game.league]
        market_name, selections = _markets(bet.game)[bet.market]
        return {
            "ootb_betslip_key": f"slip-{number}",
            "ootb_discipline_key": _key(sport),
            "ootb_discipline_name": sport,
            "ootb_meeting_key": f"{_key(sport)}-{_key(league)}",
            "ootb_event_key": bet.game.key,
            "ootb_event_name": " v ".join(bet.game.teams),
            "ootb_market_key": f"{bet.game.key}-{bet.market}",
            "ootb_market_name": market_name,
            "ootb_selection_key": f"{bet.game.key}-{bet.market}-{bet.selection}",
            "ootb_selection_name": selections[bet.selection],
        }


def _key(name: str) -> str:
    return name.lower().replace(" ", "-")


def _markets(game: Game) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return (("Winner", game.teams), ("Total", ("Over", "Under")))


def set_up(scope: Scope, world: BettingWorld, name: str) -> str:
    """Load the inventory and the bets until the instant into a tenant, with two placements; the id of the brand."""
    brand = brand_groups.create_brand_group(scope, name, {}).id
    records = world.records()
    for first in range(0, len(records), MOST_RECORDS):
        sent = read(records[first : first + MOST_RECORDS], Operation.CREATE)
        storing.change(scope, brand, Operation.CREATE, sent)
    add_activity(scope, world.activity(scope, [bet for bet in world.bets if bet.at < world.now]))
    for key, level in PLACEMENTS.items():
        definition = PlacementDefinition(f"Recommended {level.lower()}s", Product.SPORTS, level, 10, DisplayRules())
        service.save_placement(scope, key, definition)
    return brand
