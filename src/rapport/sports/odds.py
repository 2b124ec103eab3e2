"""Odds in decimal, fractional and American form: whichever comes, the others follow."""

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

# Fractions of bookmakers are short: 7/5 stands for 2.4, and no denominator is larger than this.
LARGEST_DENOMINATOR = 1000
PLACES = Decimal("0.0001")
EVENS = 100


class Price(NamedTuple):
    """What a selection pays: fractional odds, and decimal odds with four places; None where there is no price."""

    numerator: int | None = None
    denominator: int | None = None
    decimal: Decimal | None = None


NO_PRICE = Price()


@lru_cache(maxsize=10_000)
def of_fraction(numerator: int, denominator: int) -> Price:
    """The price of fractional odds."""
    return Price(numerator, denominator, _rounded(Fraction(numerator, denominator) + 1, PLACES))


@lru_cache(maxsize=10_000)
def of_decimal(decimal: Decimal) -> Price:
    """The price of decimal odds of at least 1: the stake is part of what they pay."""
    fraction = Fraction(decimal - 1).limit_denominator(LARGEST_DENOMINATOR)
    return Price(fraction.numerator, fraction.denominator, decimal.quantize(PLACES, ROUND_HALF_UP))


def american(price: Price) -> int | None:
    """American odds: what a stake of 100 wins, or, as a negative number, the stake that wins 100.

    None where there is no price, and where nothing can be won.
    """
    if price.numerator is None or not price.denominator or not price.numerator:
        return None
    fraction = Fraction(price.numerator, price.denominator)
    if fraction >= 1:
        return int(_rounded(fraction * EVENS, Decimal(1)))
    return -int(_rounded(EVENS / fraction, Decimal(1)))


def _rounded(number: Fraction, places: Decimal) -> Decimal:
    """A fraction of at least 0, rounded half up; exact however large it is."""
    scale = Fraction(1) / Fraction(places)
    return Decimal(int(number * scale + Fraction(1, 2))) * places
