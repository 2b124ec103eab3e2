"""Which properties and reward types a promotion uses."""

from rapport.promotions.definitions import Percentage, Tier
from rapport.promotions.models import Promotion
from rapport.promotions.trees import ConditionTree, tree_of

REWARD = "reward"


def trees_of(promotion: Promotion) -> list[ConditionTree]:
    """The trees of a promotion: its own, then those of its tiers."""
    tiers = [
        tree_of(tier["conditionTree"], f"promotionTiers[{number}].conditionTree")
        for number, tier in enumerate(promotion.tiers)
    ]
    return [tree_of(promotion.condition_tree, "conditionTree"), *tiers]


def tiers_of(promotion: Promotion) -> list[Tier]:
    """The tiers of a promotion, in order of priority."""
    return [Tier.model_validate(tier) for tier in promotion.tiers]


def uses_of(promotion: Promotion) -> set[tuple[str, str]]:
    """What a promotion uses: the source of a property, or REWARD, with the key in lower case."""
    used = {(leaf.source.value, leaf.key.lower()) for tree in trees_of(promotion) for _, leaf in tree.leaves()}
    for tier in tiers_of(promotion):
        for reward in tier.rewards:
            used.add((REWARD, reward.reward_type.lower()))
            if isinstance(reward.calculation, Percentage) and reward.calculation.source:
                used.add((reward.calculation.source.value, reward.calculation.of.lower()))
    return used
