"""Groups of a run or series against each other, where they reach the same people: who did better needs no control."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rapport.campaigns.measurement.interactions import INTERACTIONS
from rapport.campaigns.measurement.responses import Response
from rapport.campaigns.measurement.returning import NO_INFLATION, Inflation, Sides
from rapport.campaigns.measurement.statistics import BETTER, UNSURE, WORSE, Comparison, Pair, adjusted, compare, rate

# Of more groups each is compared with the first one only.
MOST_IN_PAIRS = 6


@dataclass(frozen=True)
class Reactions:
    """How many more of a group's customers opened, clicked and so on, as a share; p_value is corrected for the number
    of pairs.
    """

    rate: float
    other_rate: float
    uplift: float
    uplift_interval: tuple[float, float]
    p_value: float | None
    verdict: str


@dataclass(frozen=True)
class Between:
    """A group against another one: in comparison, the other group takes the place of control."""

    recipient_group_id: int
    other_group_id: int
    comparison: Comparison
    interactions: dict[str, Reactions]
    verdict: str


def between(
    runs: Sequence[Mapping[int, Response]],
    alike: Sequence[Sequence[int]],
    is_watched: bool = False,
    is_open: bool = False,
    by_money: bool = False,
    inflations: Callable[[Sides], Inflation] = lambda _: NO_INFLATION,
) -> list[Between]:
    """Every pair of groups that reach the same people, from what each group did in each draw (see compare)."""
    few = len(alike) <= MOST_IN_PAIRS
    wanted = [(a, b) for b, others in enumerate(alike, start=1) for a in others if a < b and (few or a == others[0])]
    found: list[tuple[int, int, Comparison]] = []
    for other, group in wanted:
        if pairs := _pairs(runs, group, other):
            inflation = inflations(Sides(group, (other,), False))
            found.append((group, other, compare(pairs, is_watched, is_open, by_money, inflation)))
    together = adjusted([comparison for _, _, comparison in found])
    verdicts = [_words(group, other, one.verdict) for (group, other, _), one in zip(found, together, strict=True)]
    return [
        Between(group, other, replace(one, verdict=verdict), {}, verdict)
        for (group, other, _), one, verdict in zip(found, together, verdicts, strict=True)
    ]


def with_reactions(
    found: Sequence[Between],
    runs: Sequence[Mapping[int, Response]],
    clicks: Sequence[Mapping[tuple[int, int], int]],
    is_watched: bool = False,
    is_open: bool = False,
    inflations: Callable[[Sides], Inflation] = lambda _: NO_INFLATION,
) -> list[Between]:
    """The same with who opened, clicked and so on: of each draw, customers by group and interaction.

    Their variances are multiplied by the most that customers who come back can do, that of sizes.
    """
    ratios = [inflations(Sides(one.recipient_group_id, (one.other_group_id,), False)).sizes for one in found]
    made: dict[tuple[int, int], dict[str, Reactions]] = {}
    for event in sorted({event for draw in clicks for _, event in draw} & INTERACTIONS.keys()):
        counts = [reacting(sent, draw, event) for sent, draw in zip(runs, clicks, strict=True)]
        compared = [
            compare(
                _pairs(counts, one.recipient_group_id, one.other_group_id),
                is_watched,
                is_open,
                inflation=Inflation(rate=ratio),
            )
            for one, ratio in zip(found, ratios, strict=True)
        ]
        for one, other in zip(found, adjusted(compared), strict=True):
            group, against = one.recipient_group_id, one.other_group_id
            made.setdefault((group, against), {})[INTERACTIONS[event]] = Reactions(
                rate=rate(sum((run[group] for run in counts), Response())),
                other_rate=other.control_rate,
                uplift=other.uplift,
                uplift_interval=other.uplift_interval,
                p_value=other.p_adjusted,
                verdict=_words(group, against, other.verdict),
            )
    return [replace(one, interactions=made.get((one.recipient_group_id, one.other_group_id), {})) for one in found]


def reacting(sent: Mapping[int, Response], clicks: Mapping[tuple[int, int], int], event: int) -> dict[int, Response]:
    """The groups of a draw, with those who did something with a message as responders."""
    return {number: Response(one.customers, clicks.get((number, event), 0)) for number, one in sent.items()}


def _pairs(runs: Sequence[Mapping[int, Response]], group: int, other: int) -> list[Pair]:
    return [(run[group], run[other]) for run in runs if run[group].customers and run[other].customers]


def _words(group: int, other: int, verdict: str) -> str:
    known = {
        BETTER: f"Group {group} does better than group {other}.",
        WORSE: f"Group {other} does better than group {group}.",
        UNSURE: f"No difference between groups {other} and {group} can be shown.",
    }
    return known.get(verdict, verdict)
