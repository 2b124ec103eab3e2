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
    inflations: Callable[[Sides], Inflation] = lambda _: NO_INFLATION,
    *,
    is_watched: bool = False,
    is_open: bool = False,
    by_money: bool = False,
) -> list[Between]:
    """Every pair of groups that reach the same people, from what each group did in each draw (see compare)."""
    few = len(alike) <= MOST_IN_PAIRS
    pairs_of_groups = [
        (a, b) for b, others in enumerate(alike, start=1) for a in others if a < b and (few or a == others[0])
    ]
    comparisons: list[tuple[int, int, Comparison]] = []
    for other, group in pairs_of_groups:
        if pairs := _pairs(runs, group, other):
            inflation = inflations(Sides(group, (other,), False))
            comparisons.append(
                (group, other, compare(pairs, inflation, is_watched=is_watched, is_open=is_open, by_money=by_money))
            )
    together = adjusted([comparison for _, _, comparison in comparisons])
    verdicts = [
        _words(group, other, comparison.verdict)
        for (group, other, _), comparison in zip(comparisons, together, strict=True)
    ]
    return [
        Between(group, other, replace(comparison, verdict=verdict), {}, verdict)
        for (group, other, _), comparison, verdict in zip(comparisons, together, verdicts, strict=True)
    ]


def with_reactions(
    pairs_of_groups: Sequence[Between],
    runs: Sequence[Mapping[int, Response]],
    clicks: Sequence[Mapping[tuple[int, int], int]],
    inflations: Callable[[Sides], Inflation] = lambda _: NO_INFLATION,
    *,
    is_watched: bool = False,
    is_open: bool = False,
) -> list[Between]:
    """The same with who opened, clicked and so on: of each draw, customers by group and interaction.

    Their variances are multiplied by the most that customers who come back can do, that of sizes.
    """
    ratios = [
        inflations(Sides(pair.recipient_group_id, (pair.other_group_id,), False)).sizes for pair in pairs_of_groups
    ]
    reactions: dict[tuple[int, int], dict[str, Reactions]] = {}
    for event in sorted({event for draw in clicks for _, event in draw} & INTERACTIONS.keys()):
        counts = [reacting(sent, draw, event) for sent, draw in zip(runs, clicks, strict=True)]
        compared = [
            compare(
                _pairs(counts, pair.recipient_group_id, pair.other_group_id),
                is_watched=is_watched,
                is_open=is_open,
                inflation=Inflation(rate=ratio),
            )
            for pair, ratio in zip(pairs_of_groups, ratios, strict=True)
        ]
        for pair, other in zip(pairs_of_groups, adjusted(compared), strict=True):
            group, against = pair.recipient_group_id, pair.other_group_id
            reactions.setdefault((group, against), {})[INTERACTIONS[event]] = Reactions(
                rate=rate(sum((run[group] for run in counts), Response())),
                other_rate=other.control_rate,
                uplift=other.uplift,
                uplift_interval=other.uplift_interval,
                p_value=other.p_adjusted,
                verdict=_words(group, against, other.verdict),
            )
    return [
        replace(pair, interactions=reactions.get((pair.recipient_group_id, pair.other_group_id), {}))
        for pair in pairs_of_groups
    ]


def reacting(sent: Mapping[int, Response], clicks: Mapping[tuple[int, int], int], event: int) -> dict[int, Response]:
    """The groups of a draw, with those who did something with a message as responders."""
    return {number: Response(response.customers, clicks.get((number, event), 0)) for number, response in sent.items()}


def _pairs(runs: Sequence[Mapping[int, Response]], group: int, other: int) -> list[Pair]:
    return [(run[group], run[other]) for run in runs if run[group].customers and run[other].customers]


def _words(group: int, other: int, verdict: str) -> str:
    sentences = {
        BETTER: f"Group {group} does better than group {other}.",
        WORSE: f"Group {other} does better than group {group}.",
        UNSURE: f"No difference between groups {other} and {group} can be shown.",
    }
    return sentences.get(verdict, verdict)
