"""Which transactions count, and with which sign: orders add value, refunds and payouts take it away, the rest is money
that only moves.

The only place where types and statuses are judged: conditions, the daily model and the results of campaigns go by it.
Statements with this SQL bind what ValueRule.parameters() gives.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rapport.conditions.text import fold

REFUND = "refund"
PLUS, NONE, MINUS = 1, 0, -1
# What types count as of which a tenant says nothing.
USUAL_SIGNS = {"withdrawal": NONE, "bonus": NONE, REFUND: MINUS}
# Transactions that do not stand, unless a condition names their statuses.
NO_VALUE_STATUSES = ("canceled", "cancelled", "failed", "void")

_SIGN = "transform(lowerUTF8(type), {value_types:Array(String)}, {value_signs:Array(Int8)}, {value_of_others:Int8})"
_SUBTRACTED = "abs(ifNotFinite(toFloat64OrZero(properties[{value_less:String}]), 0))"
# SQL of a row of transactions: whether it stands; is an order, or a payout, if it stands; whether it is a purchase;
# whether it gives money back: of a type that does whatever its sign, or as a negative amount of an order.
IN_FORCE = f"lower(status) NOT IN ({', '.join(map(repr, NO_VALUE_STATUSES))})"
OF_ORDER = f"amount > 0 AND {_SIGN} = {PLUS}"
OF_PAYOUT = f"lowerUTF8(type) != '{REFUND}' AND {_SIGN} = {MINUS}"
IS_PURCHASE = f"{OF_ORDER} AND {IN_FORCE}"
IS_REFUND = f"({_SIGN} = {MINUS} OR amount < 0 AND {_SIGN} = {PLUS}) AND {IN_FORCE}"
# Whether what a customer gets back may be more than what was ordered; that a sum is held to what it may be.
MAY_LOSE = "{value_may_be_lost:Bool}"


@dataclass(frozen=True)
class ValueRule:
    """The sign of each type of transactions.

    signs is by folded type, others the sign of a type that is not in it. subtracted names the property of an order
    whose number is taken from its amount, as a payout of the same row; it may be empty.
    """

    signs: Mapping[str, int] = field(default_factory=lambda: dict(USUAL_SIGNS))
    others: int = PLUS
    subtracted: str = ""

    def sign(self, type_: str) -> int:
        """The sign of a type."""
        return self.signs.get(fold(type_), self.others)

    def is_order(self, type_: str, amount: float) -> bool:
        """Whether a transaction is an order, if it stands."""
        return amount > 0 and self.sign(type_) == PLUS

    def is_payout(self, type_: str) -> bool:
        """Whether a transaction is a payout, if it stands: it takes value away when it happens, from no order."""
        return fold(type_) != REFUND and self.sign(type_) == MINUS

    @property
    def has_payouts(self) -> bool:
        """Whether transactions may be payouts."""
        return any(sign == MINUS for type_, sign in self.signs.items() if type_ != REFUND)

    @property
    def may_be_lost(self) -> bool:
        """Whether a customer may get back more than was ordered."""
        return self.has_payouts or bool(self.subtracted)

    @property
    def subtracted_sql(self) -> str:
        """SQL of what is taken from the amount of an order."""
        return _SUBTRACTED if self.subtracted else "0"

    @property
    def has_value_sql(self) -> str:
        """SQL of whether a row has a value of its own: purchases, and payouts where there are any."""
        return f"({IS_PURCHASE} OR {OF_PAYOUT} AND {IN_FORCE})" if self.has_payouts else IS_PURCHASE

    @property
    def value_sql(self) -> str:
        """SQL of the value of such a row."""
        paid = f"(amount - {_SUBTRACTED})" if self.subtracted else "amount"
        return f"if({OF_PAYOUT}, -abs(amount), {paid})" if self.has_payouts else paid

    @property
    def gives_back_sql(self) -> str:
        """SQL of whether a row gives anything back: refunds, payouts, and purchases of which something is taken."""
        return f"({IS_REFUND} OR {IS_PURCHASE})" if self.subtracted else IS_REFUND

    @property
    def given_back_sql(self) -> str:
        """SQL of how much such a row gives back."""
        return f"if({IS_REFUND}, abs(amount), {_SUBTRACTED})" if self.subtracted else "abs(amount)"

    def parameters(self) -> dict[str, Any]:
        """What the SQL of this module binds."""
        return {
            "value_types": list(self.signs),
            "value_signs": list(self.signs.values()),
            "value_of_others": self.others,
            "value_less": self.subtracted,
            "value_may_be_lost": self.may_be_lost,
        }


USUAL = ValueRule()
