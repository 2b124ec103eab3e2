"""Columns read as what they mean: JSON as objects of a declared shape, texts and numbers as members of an enum."""

from enum import IntEnum, StrEnum
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import SmallInteger, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class Member(TypeDecorator[Any]):
    """A text of at most so many characters that is read as a member of an enum. Another text raises ValueError.

    It may be compared with any text.
    """

    impl = String
    cache_ok = True

    def __init__(self, members: type[StrEnum], length: int) -> None:
        super().__init__(length)
        self.members = members

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The text of a member."""
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        """The member that a text is."""
        return None if value is None else self.members(value)


class Numbered(TypeDecorator[Any]):
    """A small number that is read as a member of an enum. Another number raises ValueError."""

    impl = SmallInteger
    cache_ok = True

    def __init__(self, members: type[IntEnum]) -> None:
        super().__init__()
        self.members = members

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        """The number of a member."""
        return None if value is None else int(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> IntEnum | None:
        """The member that a number is."""
        return None if value is None else self.members(value)


class Shaped(TypeDecorator[Any]):
    """A JSON value that is read as a shape (anything that pydantic can validate) and written as it was set.

    Members that nobody has set are not written. A value that the shape does not fit raises ValidationError. None is
    NULL.
    """

    impl = JSONB
    cache_ok = True

    def __init__(self, shape: Any) -> None:
        super().__init__(none_as_null=True)
        self.shape = shape
        self._adapter: TypeAdapter[Any] = TypeAdapter(shape)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """The JSON of a value; what is not of the shape yet is validated first."""
        if value is None:
            return None
        return self._adapter.dump_python(self._adapter.validate_python(value), mode="json", exclude_unset=True)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """The value as its shape."""
        return None if value is None else self._adapter.validate_python(value)
