"""States and kinds of promo codes, budgets and redemptions."""

from enum import StrEnum


class PoolKind(StrEnum):
    """How many codes a pool has: one that everybody uses, or many that are redeemed once each."""

    GLOBAL = "global"
    UNIQUE = "unique"


class RedemptionState(StrEnum):
    """Where a redemption is in its life. A reserved, committed or published one counts towards budgets and limits.

    A published one is a reward that a campaign told its customer of. Once the customer has redeemed the promotion, it
    is redeemed, and the redemption counts in its place.
    """

    RESERVED = "reserved"
    COMMITTED = "committed"
    ROLLED_BACK = "rolledBack"
    EXPIRED = "expired"
    PUBLISHED = "published"
    REDEEMED = "redeemed"


LIVE = (RedemptionState.RESERVED, RedemptionState.COMMITTED, RedemptionState.PUBLISHED)


class Counted(StrEnum):
    """What a budget bounds."""

    AUDIENCE = "audience"  # different customers
    REDEMPTIONS = "redemptions"
    CUSTOMER = "customer"  # redemptions of each customer
    REWARD = "reward"  # what is granted of a reward type: money or units


class Period(StrEnum):
    """How often a budget begins anew, by the calendar of the tenant's time zone. Weeks begin on Mondays."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    LIFETIME = "lifetime"
