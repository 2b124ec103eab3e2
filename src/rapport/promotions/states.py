"""States and kinds of promotions."""

from enum import StrEnum


class PromotionStatus(StrEnum):
    """Where a promotion is in its life. An archived one only can be read and duplicated."""

    DRAFT = "draft"
    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    ARCHIVED = "archived"


class TenantStatus(StrEnum):
    """Where a promotion tenant is in its life. Its definitions change only while it is not active."""

    DRAFT = "draft"
    ACTIVE = "active"
    DEACTIVATED = "deactivated"


class PropertyType(StrEnum):
    """What the values of a property are."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    STRING_ARRAY = "stringArray"
    NUMBER_ARRAY = "numberArray"


class Source(StrEnum):
    """Whose property a condition compares, or a reward is computed from."""

    CUSTOMER = "customer"
    SESSION = "session"  # given with each validation
    PROMOTION = "promotion"


class Logic(StrEnum):
    """How a branch combines its children."""

    AND = "and"
    OR = "or"


class RewardCategory(StrEnum):
    """Money, in the tenant's currency, or whole units such as spins and points."""

    AMOUNT = "amount"
    UNITS = "units"


class Refusal(StrEnum):
    """Why a customer gets nothing from a promotion."""

    UNKNOWN_CUSTOMER = "UnknownCustomer"
    CONDITIONS_NOT_MET = "PromotionConditionsNotMet"
    NO_MATCHING_TIER = "NoMatchingTier"
    CODE_OF_ANOTHER = "CodeOfAnother"
    CODE_REDEEMED = "CodeRedeemed"
    CUSTOMER_LIMIT_REACHED = "CustomerLimitReached"
    BUDGET_EXCEEDED = "BudgetExceeded"
