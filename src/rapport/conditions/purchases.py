"""Which transactions count: those by which money came in for good, and those that gave it back.

The only place where types and statuses are judged: conditions, the daily model and the results of campaigns go by it.
"""

REFUND = "refund"
# Money that moves without anybody buying something.
MOVED_TYPES = ("withdrawal", "bonus")
# Transactions that are no purchase, unless a condition names its types or statuses.
NO_VALUE_TYPES = (*MOVED_TYPES, REFUND)
NO_VALUE_STATUSES = ("canceled", "cancelled", "failed", "void")


def _none_of(column: str, words: tuple[str, ...]) -> str:
    return f"lower({column}) NOT IN ({', '.join(map(repr, words))})"


# SQL of a row of transactions: whether it stands, is a purchase, and gives money back: of type refund whatever its
# sign, or a negative amount that is no payout of another kind.
IN_FORCE = _none_of("status", NO_VALUE_STATUSES)
IS_PURCHASE = f"amount > 0 AND {_none_of('type', NO_VALUE_TYPES)} AND {IN_FORCE}"
IS_REFUND = f"(lower(type) = '{REFUND}' OR amount < 0 AND {_none_of('type', MOVED_TYPES)}) AND {IN_FORCE}"
