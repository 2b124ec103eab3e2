"""How customers are divided: into control and recipient groups, and into the hold-out; in Python and as SQL alike.

Each hash is of what divides and of the customer, so that a customer's place in one campaign says nothing of its place
in another. What divides is a run, a series whose customers keep their groups, a trigger, or the salt of a hold-out.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from rapport.campaigns.plans import Plan, PlannedGroup
from rapport.messaging.contactability.purposes import ANYTHING, Purpose

# Shares are turned into cuts of this many parts; a customer's hash falls between two cuts.
PARTS = 1_000_000
# What a hash of a campaign and a customer decides.
GROUP, CONTROL, VARIANT = "group", "control", "variant"
# What divides the customers of a run: the run itself, or the series where they keep their groups.
OF_RUN, OF_SERIES = "{campaign:UInt32}", "{series:UInt32}, 'series'"
DRAWS = 20_000

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Tally:
    """What customers did for a goal: the sum of it and of its squares, and how many of them did anything."""

    total: float
    customers: int
    squares: float
    responders: int

    @classmethod
    def of_share(cls, responders: int, customers: int) -> "Tally":
        """Of a goal that is yes or no."""
        return cls(responders, customers, responders, responders)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.total + other.total,
            self.customers + other.customers,
            self.squares + other.squares,
            self.responders + other.responders,
        )


NO_TALLY = Tally.of_share(0, 0)
# Of a run, by class and group.
Counts = Mapping[tuple[int, int], Tally]


def _hashed_part(text: str) -> int:
    """Where a text falls, in parts of a million, by a hash that Python and the warehouse have in common."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") % PARTS


def _hashed_part_sql(text: str) -> str:
    return f"reinterpretAsUInt64(substring(SHA256({text}), 1, 8)) % {PARTS}"


def trigger_part(series_id: int, division: str, person: str) -> int:
    """Where a person falls in a trigger, for its GROUP or for CONTROL, in parts of a million: the same for ever.

    The id of a customer is given in lower case.
    """
    return _hashed_part(f"{series_id}/{division}/{person}")


def trigger_part_sql(series: str, division: str, customer_id: str) -> str:
    """The same as SQL over a column of customer ids in any case; series is SQL of the number as a text."""
    return _hashed_part_sql(f"concat({series}, '/{division}/', lowerUTF8({customer_id}))")


def hold_out_part(salt: str, customer_id: str) -> int:
    """Where a customer, whose id is taken in any case, falls in hold-outs of a salt, in parts of a million."""
    return _hashed_part(f"hold-out/{salt}/{customer_id.lower()}")


def hold_out_part_sql(salt: str, customer_id: str) -> str:
    """The same as SQL over a column; salt is SQL of a text."""
    return _hashed_part_sql(f"concat('hold-out/', {salt}, '/', lowerUTF8({customer_id}))")


def run_part_sql(divides: str, unit: str) -> str:
    """SQL of where a unit falls between the groups of a run, in parts of a million.

    divides is SQL of the arguments that name what divides: OF_RUN or OF_SERIES. No run is divided in Python.
    """
    return f"sipHash64({divides}, '{GROUP}', {unit}) % {PARTS}"


def run_lot_sql(divides: str, unit: str) -> str:
    """SQL of the lot of a unit, 64 bits: the lowest of those who reach the same people are held back."""
    return f"sipHash64({divides}, '{CONTROL}', {unit})"


def variant_lot_sql(unit: str) -> str:
    """SQL of the lot of a unit in the A/B tests of a run, 64 bits: the lowest get the variants, the others the winner.

    Each run draws anew, also where customers keep their groups.
    """
    return f"sipHash64({OF_RUN}, '{VARIANT}', {unit})"


def cut_of(share: float) -> int:
    """The parts below which a share of all falls."""
    return round(share * PARTS)


def group_at(part: int, upper_cuts: Sequence[int]) -> int:
    """The group in which a part falls, from 1, by the cuts of the groups."""
    return next(number for number, cut in enumerate(upper_cuts, start=1) if part < cut)


def group_at_sql(part: str, upper_cuts: str) -> str:
    """The same as SQL."""
    return f"toUInt16(arrayFirstIndex(cut -> {part} < cut, {upper_cuts}))"


def cuts(shares: Sequence[float]) -> list[int]:
    """Upper cuts, in parts of a million, of groups with these shares; the last is the whole."""
    total = sum(shares)
    upper_cuts = [round(PARTS * part / total) for part in accumulate(shares)]
    return [*upper_cuts[:-1], PARTS]


def alike(groups: Sequence[PlannedGroup], purposes: Mapping[tuple[int, int], Purpose]) -> list[list[int]]:
    """For each group, those (itself too) whose members can be reached on the same channels, for the same purposes.

    Whether on all of them or the first makes no difference: the same customers get something.
    """
    reach = [
        sorted(
            (channel.channel_id, purposes.get((channel.channel_id, channel.template_id), ANYTHING))
            for channel in group.channels
        )
        for group in groups
    ]
    return [[n for n, other in enumerate(reach, start=1) if other == own] for own in reach]


def held_back(sizes: Sequence[int], control_share: float) -> list[int]:
    """How many of each group are control: the share of all to the person, and that of each group to one more or less.

    Somebody is held back and somebody is not, unless the share is 0 or there is nobody else.
    """
    everybody = sum(sizes)
    control_size = round(control_share * everybody)
    if control_share > 0 and everybody > 1:
        control_size = min(max(control_size, 1), everybody - 1)
    ends = [(2 * control_size * size + everybody) // (2 * everybody or 1) for size in accumulate(sizes)]
    return [end - begin for begin, end in pairwise([0, *ends])]


def divided(count: int, shares: Sequence[float]) -> list[int]:
    """So many customers by shares, to one more or less."""
    total = sum(shares)
    ends = [round(count * part / total) for part in accumulate(shares)] if total else [0] * len(shares)
    return [end - begin for begin, end in pairwise([0, *ends])]


def tested(count: int, share: float, variants: int) -> list[int]:
    """How many of so many recipients get each variant of an A/B test and, last, how many get the winner."""
    return divided(count, [*[share / variants] * variants, 1 - share])


@dataclass(frozen=True)
class Draw:
    """How a group and the control members that it is compared with were divided.

    part is control's share of both. customers is how many both were when exact numbers were drawn, none where each
    customer was drawn for itself, so that the sizes vary by chance.
    """

    part: float
    customers: int | None = None


def draw_of(plan: Plan, group: int, alike_groups: Sequence[int]) -> Draw:
    """What the plan of a run says of a group and of those held back who would have been in it or in one alike."""
    if plan.drawn is not None and not plan.rules.keeps_groups:
        sent, control = plan.drawn[group - 1][0], sum(plan.drawn[number - 1][1] for number in alike_groups)
        return Draw(control / max(1, sent + control), sent + control)
    shares, control_share = plan.divided_by, plan.control_share
    control_part = control_share * sum(shares[number - 1] for number in alike_groups)
    return Draw(control_part / (control_part + (1 - control_share) * shares[group - 1]))


def thompson_shares(seed: int, runs: Sequence[Counts], groups: int, min_share: float) -> list[float]:
    """Shares in proportion to each group's probability of being the best, from past runs.

    A run tells of (class, group) what so many customers did; group 0 are the control members of a class, who
    compare with its groups only. Effects are those of a regression with a constant for each run and class, so that
    a good week, or people who buy more anyway, say nothing about a group. They are sampled (Thompson 1933; Scott
    2010, section 3); no group falls below min_share. The seed makes a repeated run come to the same shares.
    """
    precision, weighted = _learned(runs, groups)
    covariance = np.linalg.inv(precision)
    generator = np.random.default_rng(seed)
    draws = generator.multivariate_normal(covariance @ weighted, covariance, DRAWS, method="cholesky")
    best = np.bincount(np.argmax(draws, axis=1), minlength=groups) / DRAWS
    free = 1 - min_share * groups
    return [round(float(min_share + free * share), 6) for share in best]


def _learned(runs: Sequence[Counts], groups: int) -> tuple[Numbers, Numbers]:
    """The precision of the effects of groups over control, and their means weighted by it.

    Before any run effects are as large as the mean of all, this way or that. Every mean is taken as if two customers
    more had been there, one of whom did what is usual for those who do anything: 1 where the goal is yes or no.
    """
    overall = _sum(tally for run in runs for tally in run.values())
    usual = math.sqrt(overall.squares / overall.responders) if overall.responders and overall.squares else 1.0
    mean = (abs(overall.total) + usual) / (overall.customers + 2)
    precision, weighted = np.eye(groups) / mean**2, np.zeros(groups)
    for run in runs:
        for run_class in {key for key, _ in run}:
            cells = {group: tally for (key, group), tally in run.items() if key == run_class and tally.customers}
            _learn(cells, usual, precision, weighted)
    return precision, weighted


def _sum(tallies: Iterable[Tally]) -> Tally:
    return sum(tallies, NO_TALLY)


def _learn(cells: dict[int, Tally], usual: float, precision: Numbers, weighted: Numbers) -> None:
    """Add what the cells of one run and class tell, apart from what they have in common."""
    overall = _sum(cells.values())
    mean = (overall.total + usual) / (overall.customers + 2)
    variance = (overall.squares + usual**2) / (overall.customers + 2) - mean**2
    for group, tally in cells.items():
        if not group:
            continue
        weight = tally.customers / variance
        precision[group - 1, group - 1] += weight
        weighted[group - 1] += weight * (tally.total / tally.customers - overall.total / overall.customers)
        for other, other_tally in cells.items():
            if other:
                precision[group - 1, other - 1] -= weight * other_tally.customers / overall.customers
