"""What the vouchers of a campaign cost: so much a code that is redeemed, or so much a customer that was sent one.

A code is redeemed by a transaction that names it, in any case, of a customer of the group (or of its control) in the
measurement window; an order that was given back wholly is none. A run keeps the costs and codes that its actions had
when it was processed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns.definitions import action
from rapport.campaigns.goals import is_click
from rapport.campaigns.models import Occurrence
from rapport.campaigns.plans import PlannedCost, PlannedGroup
from rapport.campaigns.schemas import Goal


def costs_of(scope: Scope, groups: Sequence[PlannedGroup]) -> list[PlannedCost | None]:
    """The costs of recipient groups for the plan of a run; empty where no voucher costs anything."""
    costs = [_cost(scope, group) for group in groups]
    return costs if any(costs) else []


def _cost(scope: Scope, group: PlannedGroup) -> PlannedCost | None:
    group_action = action(scope, group.action_id)
    codes = group_action.promo_codes if group.promo_codes is None else group.promo_codes
    return PlannedCost(**group_action.cost, codes=tuple(code.lower() for code in codes)) if group_action.cost else None


def has_costs(runs: Sequence[Occurrence], goal: Goal) -> bool:
    """Whether any voucher of runs costs something that is to be taken from what a goal counts; clicks are no money."""
    return not is_click(goal) and any(run.plan.costs for run in runs)


def cost_parameters(runs: Mapping[int, Occurrence]) -> dict[str, Any]:
    """What the SQL of costs binds, of runs by their draw."""
    places: list[str] = []
    per_code: list[float] = []
    per_customer: list[float] = []
    redeemable: list[str] = []
    for draw, run in runs.items():
        costs = run.plan.costs or (None,) * len(run.plan.groups)
        for number, cost in enumerate(costs, start=1):
            places.append(f"{draw}/{number}")
            amount, is_redeemed = (cost.amount, cost.per == "redeemed") if cost else (0.0, True)
            per_code.append(amount if is_redeemed else 0.0)
            per_customer.append(0.0 if is_redeemed else amount)
            redeemable += [f"{draw}/{number}/{code}" for code in (cost.codes if cost else ())]
    return {"places": places, "per_code": per_code, "per_customer": per_customer, "redeemable": redeemable}


def cost_sql(draw: str) -> str:
    """SQL of what the vouchers of a customer cost, in the statement of people; draw is a column of what it assigned."""
    key = f"concat(toString({draw}), '/', toString(assigned.drawn))"
    at = f"indexOf({{places:Array(String)}}, any({key}))"
    redeemed = f"has({{redeemable:Array(String)}}, concat({key}, '/', lowerUTF8(sale.promo_code)))"
    return f"""
        {{per_code:Array(Float64)}}[{at}] * countIf(within AND sale.is_kept AND {redeemed})
            + if(any(assigned.grp) > 0, {{per_customer:Array(Float64)}}[{at}], 0) AS cost"""
