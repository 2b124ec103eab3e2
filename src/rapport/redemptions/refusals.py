"""Why a redemption is refused: each reason is an error of its own, whose name callers read."""

from rapport.errors import Conflict


class CodeNotValid(Conflict):
    """A code that is not in force now: not yet, not any more, deactivated, or of no promotion (409)."""


class CodeRedeemed(Conflict):
    """A unique code that has been redeemed (409)."""


class CodeOfAnother(Conflict):
    """A unique code that another customer got (409)."""


class NotEligible(Conflict):
    """A customer who gets nothing from the promotion (409)."""


class CustomerLimitReached(Conflict):
    """A customer who has redeemed the promotion as often as one may (409)."""


class BudgetExceeded(Conflict):
    """A promotion with less left than the redemption would take (409)."""


class NotCombinable(Conflict):
    """A promotion that may not be combined with another one of the same order (409)."""
