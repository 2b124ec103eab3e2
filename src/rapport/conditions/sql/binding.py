"""Values bound to the SQL of a condition."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from rapport.conditions.schema import Kind

DECIMALS = 10
COLUMN_DECIMALS = 4
INT64 = 2**63

TYPES = {
    Kind.FLOAT: "Float64",
    Kind.DATE: "Date32",
    Kind.TIME: "DateTime64(6, 'UTC')",
    Kind.INSTANT: "DateTime64(6, 'UTC')",
    Kind.BOOLEAN: "Bool",
    Kind.TEXT: "String",
}


class Binder:
    """Gives each value a name and collects the parameters of a statement."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}

    def bind(self, value: Any, type_name: str) -> str:
        """The placeholder of a value under a ClickHouse type."""
        name = f"c{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:{type_name}}}"

    def bind_named(self, **values: Any) -> None:
        """Bind values that the SQL of other modules asks for by its own names."""
        self.parameters.update(values)

    def typed(self, value: Any, kind: Kind) -> str:
        """The placeholder of one value of a kind."""
        if isinstance(value, Decimal):
            if value == value.to_integral_value() and abs(value) < INT64:
                return self.bind(int(value), "Int64")
            return self.bind(f"{value:f}", f"Decimal(38, {DECIMALS})")
        if isinstance(value, datetime):
            wall = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
            return self.bind(wall.isoformat(" "), TYPES[kind])
        return self.bind(value.isoformat() if isinstance(value, date) else value, TYPES[kind])

    def typed_list(self, values: Sequence[Any], kind: Kind) -> str:
        """The placeholder of a list of values; numbers that a column of the kind cannot hold are left out."""
        if kind is Kind.INTEGER:
            whole = [int(value) for value in values if value == int(value) and abs(value) < INT64]
            return self.bind(whole, "Array(Int64)")
        if kind is Kind.DECIMAL:
            fitting = [value for value in values if value == round(value, COLUMN_DECIMALS)]
            return self.bind(
                f"[{','.join(f'{value:f}' for value in fitting)}]", f"Array(Decimal(38, {COLUMN_DECIMALS}))"
            )
        return self.bind(list(values), f"Array({TYPES[kind]})")
