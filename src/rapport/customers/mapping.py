"""Mapping files: how a file that is not in the batch schema is read (YAML)."""

import hashlib
from pathlib import Path
from typing import Any, Literal

import orjson
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rapport.customers.dates import form_of
from rapport.customers.encodings import encoding_named
from rapport.errors import Invalid

# The engine reads texts and numbers with these.
NO_DELIMITERS = " .UL'\"\r\n\\"


class FileMapping(BaseModel):
    """What a mapping file says.

    blank_cells says what a blank cell of an incremental file does to a row that is there: clear the value, or keep it.
    columns maps a file's column to ours (null: not loaded); constants gives our columns a value that
    the file lacks; names are the columns of a file without a header. generate_ids makes the primary
    key from the row's number and content; create_customers makes unknown customers of a transactions
    file, registered on the day of their first transaction.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal["csv", "jsonl", "parquet", "whitespace"] | None = None
    encoding: str | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    header: bool = True
    skip_lines: int = Field(default=0, ge=0)
    names: list[str] | None = None
    columns: dict[str, str | None] = {}
    constants: dict[str, str | int | float | bool] = {}
    date_format: str | list[str] | None = None
    blank_cells: Literal["clear", "keep"] = "clear"
    generate_ids: bool = False
    create_customers: bool = False

    @field_validator("date_format")
    @classmethod
    def _known(cls, value: str | list[str] | None) -> str | list[str] | None:
        for one in _several(value):
            form_of(one)
        return value

    @field_validator("encoding")
    @classmethod
    def _text_encoding(cls, value: str | None) -> str | None:
        return None if value is None else encoding_named(value)

    @field_validator("delimiter")
    @classmethod
    def _between_cells(cls, value: str | None) -> str | None:
        if value is not None and (value in NO_DELIMITERS or not value.isascii()):
            raise ValueError(f"{value!r} cannot be the delimiter (format: whitespace reads columns between blanks)")
        return value

    @property
    def formats(self) -> tuple[str, ...]:
        """The forms of its dates, the first that fits counts; empty for the ISO form."""
        return _several(self.date_format)

    @property
    def digest(self) -> str:
        """Names the mapping: two mappings that read a file alike have the same one."""
        text = orjson.dumps(self.model_dump(), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(text).hexdigest()


def _several(value: str | list[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def parse_mapping(given: "FileMapping | dict[str, Any] | None") -> FileMapping:
    """A mapping from what a caller has; None is the batch schema as it is. Raises Invalid."""
    if isinstance(given, FileMapping):
        return given
    try:
        return FileMapping.model_validate(given or {})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"The mapping's {where}: {first['msg'].removeprefix('Value error, ')}.") from error


def with_blank_cells(mapping: FileMapping | None, rule: Literal["clear", "keep"] | None) -> FileMapping | None:
    """The mapping with another rule for blank cells; None leaves the mapping's own."""
    return mapping if rule is None else (mapping or FileMapping()).model_copy(update={"blank_cells": rule})


def read_mapping(source: Path | str) -> FileMapping:
    """A mapping from a YAML file, or from YAML text. Raises Invalid."""
    try:
        text = source.read_text() if isinstance(source, Path) else source
        data = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Invalid("The mapping is not a readable YAML file.") from error
    if data is not None and not isinstance(data, dict):
        raise Invalid("The mapping must be a YAML mapping.")
    return parse_mapping(data)
