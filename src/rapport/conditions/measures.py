"""What is computed over a customer's rows of a history."""

from enum import StrEnum

from rapport.conditions.schema import Kind

# Amounts are compared in ten-thousandths of the currency unit, as whole numbers, so that the order
# in which an engine adds them never matters.
AMOUNT_SCALE = 10_000


class Measure(StrEnum):
    """What is computed over the rows of one customer."""

    COUNT = "count"
    SUM = "sum"
    AVERAGE = "average"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    FIRST_DATE = "first_date"
    LAST_DATE = "last_date"


AMOUNTS = (Measure.SUM, Measure.AVERAGE, Measure.MAXIMUM, Measure.MINIMUM)
DATES = (Measure.FIRST_DATE, Measure.LAST_DATE)
# The measures of a history whose rows have no amount.
WITHOUT_AMOUNT = (Measure.COUNT, *DATES)


def measure_kind(time_kind: Kind, measure: Measure) -> Kind:
    """The kind of a measure's value, in a history with times of a kind; sums and the like are in ten-thousandths."""
    if measure in DATES:
        return time_kind
    return Kind.FLOAT if measure is Measure.AVERAGE else Kind.INTEGER


def value_without_rows(measure: Measure) -> int | None:
    """The measure of no rows: 0 for a count or sum, nothing for the rest."""
    return 0 if measure in (Measure.COUNT, Measure.SUM) else None
