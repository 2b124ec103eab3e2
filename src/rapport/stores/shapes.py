"""Columns of JSON that are objects of a declared shape in Python."""

from typing import Any

from pydantic import TypeAdapter
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class Shaped(TypeDecorator[Any]):
    """A JSON value that is read as a shape (anything that pydantic can validate) and written as it was set.

    Members that nobody has set are not written. A value that the shape does not fit raises ValidationError.
    """

    impl = JSONB
    cache_ok = True

    def __init__(self, shape: Any) -> None:
        super().__init__()
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
