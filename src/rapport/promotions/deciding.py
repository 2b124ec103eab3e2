"""What decides about customers: a promotion that was made ready to be evaluated, and what comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any

from rapport.access.scope import Scope
from rapport.audiences import facts as known
from rapport.audiences.schema import schema
from rapport.conditions import Facts, Schema
from rapport.conditions.evaluation.history_facts import measured
from rapport.conditions.language.nodes import HistoryIs
from rapport.conditions.schema import Anchor
from rapport.errors import Conflict, NotFound
from rapport.promotions.definitions import Percentage, Reward, RewardType, Tier
from rapport.promotions.evaluation import PASSES, CompiledTree, compiled, given_values, with_given
from rapport.promotions.models import Promotion
from rapport.promotions.properties import Properties, attribute_of, measure_of
from rapport.promotions.rewards import reward_value
from rapport.promotions.states import PromotionStatus, Refusal, RewardCategory, Source, TenantStatus
from rapport.promotions.tenants import promotion_tenant, properties_of, reward_types_of
from rapport.promotions.trees import Leaf, promotion_attribute, session_attribute
from rapport.promotions.uses import tiers_of, trees_of


@dataclass(frozen=True, slots=True)
class Context:
    """A customer who is validated, with the values of session properties."""

    customer_id: str
    session: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Granted:
    """A reward of a tier with its value: in the tenant's currency, or units."""

    reward_type: str
    category: RewardCategory
    value: Decimal


@dataclass(frozen=True, slots=True)
class Decision:
    """What a promotion decides about a context.

    tier is None for a customer who gets nothing, and reason says why. gate is the failing branch of the promotion's
    own tree and branches those of the tiers; PASSES where none fails.
    """

    customer_id: str
    tier: Tier | None
    rewards: tuple[Granted, ...] = ()
    reason: Refusal | None = None
    gate: int = PASSES
    branches: tuple[int, ...] = ()

    def of(self, customer_id: str) -> "Decision":
        """The same about another customer."""
        return Decision(customer_id, self.tier, self.rewards, self.reason, self.gate, self.branches)


@dataclass(frozen=True)
class Basis:
    """What the promotions of a tenant have in common when they are evaluated, as of a data date.

    whole is the schema in which session and promotion properties stand beside the customer's attributes.
    """

    status: TenantStatus
    properties: Properties
    reward_types: Mapping[str, RewardType]
    schema: Schema
    whole: Schema
    data_date: date | None  # of the profiles that are read; None before the first


@dataclass(frozen=True)
class Validator:
    """A promotion that can be evaluated, as of a data date."""

    promotion: Promotion
    properties: Properties
    reward_types: Mapping[str, RewardType]
    schema: Schema
    trees: Sequence[CompiledTree]  # the promotion's own, then those of the tiers
    tiers: Sequence[Tier]
    own: Mapping[str, Any]  # the promotion's properties, as attributes
    currency: str
    data_date: date | None  # of the profiles that are read; None before the first

    def attributes(self, context: Context) -> dict[str, Any]:
        """The properties of the session and of the promotion, as facts hold them. The values are checked."""
        session = given_values(context.session, self.properties.session, session_attribute, self.schema)
        return {**self.own, **session}

    @cached_property
    def needs(self) -> known.Needs:
        """What has to be known of customers."""
        needs = known.Needs(attributes=set(self.inputs))
        for tree in self.trees:
            for branch, _ in tree.tree.leaves():
                needs.of_condition(tree.conditions[branch.index])
        needs.histories += self.measures.values()
        return needs

    @cached_property
    def percentages(self) -> list[Percentage]:
        """The calculations that need a property."""
        return [
            reward.calculation
            for tier in self.tiers
            for reward in tier.rewards
            if isinstance(reward.calculation, Percentage)
        ]

    @cached_property
    def inputs(self) -> list[str]:
        """The customer attributes that rewards are computed from."""
        return sorted(set(filter(None, (self._attribute(calculation) for calculation in self.percentages))))

    @cached_property
    def session_inputs(self) -> list[str]:
        """The session properties that rewards are computed from, as attributes."""
        of_session = (calculation for calculation in self.percentages if calculation.source is Source.SESSION)
        return sorted({session_attribute(calculation.of) for calculation in of_session})

    @cached_property
    def measures(self) -> dict[str, HistoryIs]:
        """The measures that rewards are computed from, by the key of the property."""
        of_customers = (
            self.properties.customer[calculation.of.lower()]
            for calculation in self.percentages
            if calculation.source is Source.CUSTOMER
        )
        by_key = {definition.key.lower(): measure_of(definition) for definition in of_customers}
        return {key: measure for key, measure in by_key.items() if measure is not None}

    def _attribute(self, calculation: Percentage) -> str | None:
        """The attribute that a percentage is of; None for a measure or a session property."""
        if calculation.source is not Source.CUSTOMER:
            return None
        definition = self.properties.customer[calculation.of.lower()]
        return None if definition.measure is not None else attribute_of(definition)

    def decided(self, facts: Facts) -> Decision:
        """What the promotion decides about one customer; facts have what the session gave."""
        failing = [tree.failing(facts) for tree in self.trees]
        return self.decision(facts, failing[0], failing[1:])

    def decision(self, facts: Facts, gate: int, branches: Sequence[int]) -> Decision:
        """The decision that follows from the failing branches; facts have what rewards are computed from."""
        if gate != PASSES:
            return Decision(facts.customer_id, None, reason=Refusal.CONDITIONS_NOT_MET, gate=gate)
        reached = next((number for number, branch in enumerate(branches) if branch == PASSES), None)
        if reached is None:
            return Decision(facts.customer_id, None, reason=Refusal.NO_MATCHING_TIER, branches=tuple(branches))
        tier = self.tiers[reached]
        granted = tuple(self._granted(reward, facts) for reward in tier.rewards)
        return Decision(facts.customer_id, tier, granted, branches=tuple(branches[:reached]))

    def value(self, leaf: Leaf, facts: Facts) -> Any:
        """What a comparison is made with: the value of its property; None for a missing one."""
        if leaf.source is Source.SESSION:
            return facts.attributes.get(session_attribute(leaf.key))
        if leaf.source is Source.PROMOTION:
            return facts.attributes.get(promotion_attribute(leaf.key))
        definition = self.properties.customer[leaf.key.lower()]
        measure = measure_of(definition)
        return facts.attributes.get(attribute_of(definition)) if measure is None else self._measured(measure, facts)

    def _granted(self, reward: Reward, facts: Facts) -> Granted:
        reward_type = self.reward_types[reward.reward_type.lower()]
        of = self._input(reward.calculation, facts) if isinstance(reward.calculation, Percentage) else None
        value = reward_value(reward.calculation, reward_type, of, None, self.currency)
        return Granted(reward_type.key, reward_type.category, value)

    def _input(self, calculation: Percentage, facts: Facts) -> Any:
        if calculation.source is Source.SESSION:
            return facts.attributes.get(session_attribute(calculation.of))
        attribute = self._attribute(calculation)
        if attribute is not None:
            return facts.attributes.get(attribute)
        return self._measured(self.measures[calculation.of.lower()], facts)

    def _measured(self, measure: HistoryIs, facts: Facts) -> Any:
        anchor = Anchor(facts.today, facts.known_through or facts.today, self.schema.time_zone)
        return measured(measure, facts, anchor, self.schema.values)


def basis(scope: Scope) -> Basis:
    """What all promotions of the tenant are evaluated on. Raises Conflict when there is no promotion tenant."""
    try:
        tenant = promotion_tenant(scope)
    except NotFound as error:
        raise Conflict("There is no promotion tenant; create and activate it first.") from error
    data_date = scope.data_date()
    properties, as_of = properties_of(scope, tenant), schema(scope, data_date)
    whole = with_given(as_of, properties)
    return Basis(tenant.status, properties, reward_types_of(tenant), as_of, whole, data_date)


def validator(scope: Scope, promotion: Promotion, on: Basis, *, as_trial: bool = False) -> Validator:
    """What decides about customers of a promotion. Raises Conflict when it, or its tenant, is not active.

    as_trial: whatever their status, to see what would be decided.
    """
    if on.status != TenantStatus.ACTIVE and not as_trial:
        raise Conflict(f"The promotion tenant is {on.status}; only an active one validates.")
    if promotion.status != PromotionStatus.ACTIVE and not as_trial:
        raise Conflict(f"Promotion {promotion.id!r} is {promotion.status}; only an active one is validated.")
    return Validator(
        promotion,
        on.properties,
        on.reward_types,
        on.schema,
        [compiled(tree, on.properties, on.whole) for tree in trees_of(promotion)],
        tiers_of(promotion),
        given_values(promotion.properties, on.properties.promotion, promotion_attribute, on.schema),
        scope.currency,
        on.data_date,
    )
