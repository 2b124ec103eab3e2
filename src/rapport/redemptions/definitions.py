"""Budgets and code pools as clients write them."""

from typing import Annotated, Self

from pydantic import AwareDatetime, Field, model_validator

from rapport.promotions.definitions import Definition, Id, Key, Name, Number
from rapport.redemptions.states import Counted, Period, PoolKind

MOST_BUDGETS, MOST_CAMPAIGNS, MOST_EXCLUDED = 50, 100, 500
SHORTEST_CODE, LONGEST_CODE = 3, 100
# Printable, without blanks, quotes and separators of files.
CODE = r"^[^\s,;\"'\x00-\x1f\x7f]+$"

Code = Annotated[str, Field(pattern=CODE, min_length=SHORTEST_CODE, max_length=LONGEST_CODE)]
CampaignIds = Annotated[list[Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]], Field(max_length=MOST_CAMPAIGNS)]


class Budget(Definition):
    """The most that may be redeemed of a promotion in a period: `of` says what is counted.

    limit is a number of customers or redemptions; for rewards it is an amount in the tenant's currency, or units.
    """

    of: Counted
    period: Period
    limit: Annotated[Number, Field(ge=0)]
    reward_type: Key | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.of is Counted.REWARD) != (self.reward_type is not None):
            raise ValueError("rewardType is for budgets of rewards, which need it")
        if self.of is not Counted.REWARD and not self.limit.is_integer():
            raise ValueError("limit must be a whole number, except of rewards")
        return self


class SetBudgets(Definition):
    """Replace what bounds the redemptions of a promotion."""

    budgets: Annotated[list[Budget], Field(max_length=MOST_BUDGETS)]


class StackingRules(Definition):
    """With which other promotions one may be redeemed in the same order.

    is_exclusive: with none. not_with are promotions, by id, that it never goes with. Of the promotions of a group, an
    order has one at most. A rule of either promotion is enough.
    """

    is_exclusive: Annotated[bool, Field(strict=True)] = False
    not_with: Annotated[list[Id], Field(max_length=MOST_EXCLUDED)] = Field(default_factory=list)
    group: Name | None = None


class PoolDates(Definition):
    """When the codes of a pool are in force: from startsAt until before expiresAt, null without bound."""

    starts_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.starts_at and self.expires_at and self.starts_at >= self.expires_at:
            raise ValueError("expiresAt must be after startsAt")
        return self


class CreatePool(PoolDates):
    """A new pool. A global one has its code from the start, a unique one gets codes afterwards."""

    id: Id | None = None
    name: Name
    type: PoolKind
    code: Code | None = None
    promotion_id: Id | None = None
    campaign_ids: CampaignIds = Field(default_factory=list)

    @model_validator(mode="after")
    def _has_its_code(self) -> Self:
        if (self.type is PoolKind.GLOBAL) != (self.code is not None):
            raise ValueError("code is for global promo codes, which need it")
        return self


class ChangePool(PoolDates):
    """What is to be changed of a pool; what is left out stays. A promotionId of null takes it off its promotion."""

    name: Name | None = None
    promotion_id: Id | None = None
    campaign_ids: CampaignIds | None = None
    is_active: Annotated[bool, Field(strict=True)] | None = None
