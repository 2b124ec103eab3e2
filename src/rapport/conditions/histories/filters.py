"""What a condition may ask of the rows of a history, beside when they were."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rapport.conditions.language.literals import MAX_ID, MAX_TEXT, text, whole
from rapport.conditions.schema import Schema
from rapport.conditions.text import fold
from rapport.errors import Invalid

Row = TypeVar("Row")
# A text that is not blank, and that both engines can store.
TEXT = {"type": "string", "maxLength": MAX_TEXT, "pattern": r"^[^\x00]*[^\s\x00][^\x00]*$"}


class Values(ABC):
    """What the values of a filter are, in JSON, in SQL and in a row of one customer."""

    array_type = "Array(UInt32)"

    @abstractmethod
    def read(self, value: Any, path: str) -> Any:
        """A value as a condition holds it. Raises Invalid."""

    @abstractmethod
    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of one value."""

    def stored(self, values: Sequence[Any], schema: Schema) -> list[Any]:
        """Values of a condition as the column holds them."""
        return list(values)

    def sql(self, column: str) -> str:
        """SQL of what a column has in common with stored values."""
        return column

    def of_row(self, value: Any) -> Any:
        """What a row holds, as a condition holds it."""
        return value


class Texts(Values):
    """Texts, compared ignoring case."""

    array_type = "Array(String)"

    def read(self, value: Any, path: str) -> str:
        """A text that is not blank, folded. Raises Invalid."""
        return fold(text(value, path))

    def json_schema(self) -> dict[str, Any]:
        """A text."""
        return dict(TEXT)

    def sql(self, column: str) -> str:
        """The column without case."""
        return f"lowerUTF8({column})"

    def of_row(self, value: str) -> str:
        """The text without case."""
        return fold(value)


@dataclass(frozen=True)
class Ids(Values):
    """Whole numbers. of names what they are ids of, where one that does not exist is refused."""

    of: str = ""

    def read(self, value: Any, path: str) -> int:
        """A whole number. Raises Invalid."""
        return whole(value, path, MAX_ID)

    def json_schema(self) -> dict[str, Any]:
        """A whole number."""
        return {"type": "integer", "minimum": 0, "maximum": MAX_ID}


class SeriesIds(Ids):
    """Ids of campaign series, of which a table has the ids of the campaigns."""

    def stored(self, values: Sequence[Any], schema: Schema) -> list[Any]:
        """The campaigns of the series."""
        return [campaign for series in values for campaign in schema.campaigns_of(series)]


class Choices(Values):
    """Words of a few. codes has the number that is stored of each."""

    def __init__(self, codes: Mapping[str, int]) -> None:
        self.codes = codes
        self._words = {code: word for word, code in codes.items()}

    def read(self, value: Any, path: str) -> str:
        """One of the words. Raises Invalid."""
        if not isinstance(value, str) or value not in self.codes:
            raise Invalid(f"{path} must be one of {', '.join(self.codes)}.")
        return value

    def json_schema(self) -> dict[str, Any]:
        """One of the words."""
        return {"type": "string", "enum": list(self.codes)}

    def stored(self, values: Sequence[Any], schema: Schema) -> list[Any]:
        """The numbers of words."""
        return [self.codes[value] for value in values]

    def of_row(self, value: int) -> str | None:
        """The word of a number; None of one that has none."""
        return self._words.get(value)


@dataclass(frozen=True)
class Filter(Generic[Row]):
    """A member of `where`: one of its values must be what a row has.

    description says in documents what it is. column is the SQL, of_row the same of a row in this process; without
    them the history itself says which rows pass.
    """

    name: str
    values: Values
    description: str
    column: str = ""
    of_row: Callable[[Row], Any] | None = None

    @property
    def words(self) -> str:
        """What it is called in a sentence."""
        return self.name.replace("_", " ")

    def passes(self, row: Row, accepted: Collection[Any]) -> bool:
        """Whether a row has one of some values."""
        return self.of_row is None or self.values.of_row(self.of_row(row)) in accepted
