"""What a reward is worth for one customer."""

from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from functools import cache, lru_cache
from typing import Any

from rapport.promotions.definitions import Constraints, Fixed, Percentage, RewardType
from rapport.promotions.states import RewardCategory

# ISO 4217: currencies whose smallest unit is not a hundredth.
WHOLE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
THOUSANDTHS = "BHD IQD JOD KWD LYD OMR TND"
DIGITS = dict.fromkeys(WHOLE.split(), 0) | dict.fromkeys(THOUSANDTHS.split(), 3)
USUAL_DIGITS = 2


def reward_value(
    calculation: Fixed | Percentage, reward_type: RewardType, of: Any, override: Constraints | None, currency: str
) -> Decimal:
    """The value of a reward: in the currency for amounts, else whole units.

    of is the property that a percentage is computed from; a missing one counts as 0. A result outside of the limits
    of the calculation, then of the reward type (or of what overrides those for a promotion), is set to the limit.
    Amounts are rounded half up to the digits of the currency, units down.
    """
    if isinstance(calculation, Fixed):
        value = exact(calculation.value)
    else:
        value = exact(of or 0) * exact(calculation.percent) / 100
        value = _limited(value, calculation.min, calculation.max)
    limits = override or reward_type.constraints
    value = _limited(value, limits.min, limits.max)
    if reward_type.category is RewardCategory.UNITS:
        return value.to_integral_value(ROUND_FLOOR)
    return value.quantize(_smallest(currency), ROUND_HALF_UP)


@cache
def _smallest(currency: str) -> Decimal:
    return Decimal(1).scaleb(-digits(currency))


def digits(currency: str) -> int:
    """The decimals of amounts in a currency, by ISO 4217."""
    return DIGITS.get(currency.upper(), USUAL_DIGITS)


@lru_cache(10_000)
def exact(number: Any) -> Decimal:
    """A number as its shortest decimal form."""
    return number if isinstance(number, Decimal) else Decimal(repr(number))


def _limited(value: Decimal, low: float | None, high: float | None) -> Decimal:
    if low is not None:
        value = max(value, exact(low))
    return value if high is None else min(value, exact(high))
