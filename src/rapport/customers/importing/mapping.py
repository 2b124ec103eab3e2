"""Mapping files: how a file that is not in the batch schema is read (YAML)."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rapport.customers.formats.dates import form_of
from rapport.customers.formats.encodings import encoding_named
from rapport.errors import Invalid
from rapport.stores.faults import refused_path, require_readable
from rapport.wording import sentence, unknown_member, unstorable

# The engine reads texts and numbers with these.
NO_DELIMITERS = " .UL'\"\r\n\\"
NULL, TEXT, LIST, OBJECT = (f"tag:yaml.org,2002:{name}" for name in ("null", "str", "seq", "map"))
MAX_SKIPPED = 1000
MAX_CHARACTERS = 200_000  # of a mapping's YAML
# How a column writes numbers, as an example of it.
NumberForm = Literal["1234.56", "1,234.56", "1234,56", "1.234,56", "1 234,56", "1 234.56", "1'234.56", "1'234,56"]
DateForms = str | list[str]


class FileMapping(BaseModel):
    """What a mapping file says.

    blank_cells says what a blank cell of an incremental file does to a row that is there: clear the value, or keep it.
    columns maps a file's column to ours (null: not loaded); constants gives our columns a value that
    the file lacks; names are the columns of a file without a header. generate_ids makes the primary
    key from the row's number and content; create_customers makes unknown customers of a transactions
    file, registered on the day of their first transaction.

    By the file's names of columns: values are what is read instead of a cell's text (null: as if it were blank),
    numbers how the column writes numbers, date_formats its forms of dates, before date_format.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal["csv", "jsonl", "parquet", "whitespace"] | None = None
    encoding: str | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    header: bool = True
    skip_lines: int = Field(default=0, ge=0, le=MAX_SKIPPED)
    names: list[str] | None = None
    columns: dict[str, str | None] = {}
    constants: dict[str, str | int | float | bool] = {}
    date_format: DateForms | None = None
    date_formats: dict[str, DateForms] = {}
    numbers: dict[str, NumberForm] = {}
    values: dict[str, dict[Annotated[str, Field(min_length=1)], str | None]] = {}
    blank_cells: Literal["clear", "keep"] = "clear"
    generate_ids: bool = False
    create_customers: bool = False

    @field_validator("date_format")
    @classmethod
    def _readable_forms(cls, value: DateForms | None) -> DateForms | None:
        for form in several(value):
            form_of(form)
        return value

    @field_validator("date_formats")
    @classmethod
    def _readable_column_forms(cls, value: dict[str, DateForms]) -> dict[str, DateForms]:
        for forms in value.values():
            cls._readable_forms(forms)
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
        return several(self.date_format)

    @property
    def digest(self) -> str:
        """Names the mapping: two mappings that read a file alike have the same one."""
        text = orjson.dumps(self.model_dump(), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(text).hexdigest()


def several(value: DateForms | None) -> tuple[str, ...]:
    """Forms of dates, of which there are one, many or none."""
    return (value,) if isinstance(value, str) else tuple(value or ())


def parse_mapping(mapping: "FileMapping | dict[str, Any] | None") -> FileMapping:
    """A mapping from what a caller has; None is the batch schema as it is. Raises Invalid."""
    if isinstance(mapping, FileMapping):
        return mapping
    try:
        return FileMapping.model_validate(mapping or {})
    except ValidationError as error:
        unknown = unknown_member(error, FileMapping, "the mapping")
        raise Invalid(unknown or f"The mapping's {sentence(error.errors(), mapping)}") from error


def with_blank_cells(mapping: FileMapping | None, rule: Literal["clear", "keep"] | None) -> FileMapping | None:
    """The mapping with another rule for blank cells; None leaves the mapping's own."""
    return mapping if rule is None else (mapping or FileMapping()).model_copy(update={"blank_cells": rule})


class _TextLoader(yaml.SafeLoader):
    """Words and numbers stay what is written: Yes and No are words that files have, not true and false."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the library declares it
        first: [(tag, pattern) for tag, pattern in resolvers if tag == NULL]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {  # noqa: RUF012 - as the library declares it
        tag: yaml.SafeLoader.yaml_constructors[tag] for tag in (NULL, TEXT, LIST, OBJECT, None)
    }

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        """A text. Raises ConstructorError for one that could not be stored."""
        if isinstance(node, yaml.ScalarNode) and (fault := unstorable(node.value)):
            raise yaml.constructor.ConstructorError(None, None, f"a text {fault}", node.start_mark)
        return super().construct_scalar(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """An object. Raises ConstructorError when a name in it is no text."""
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        if not all(isinstance(name, str) for name in mapping):
            raise yaml.constructor.ConstructorError(None, None, "a name must be a text", node.start_mark)
        return mapping


def read_mapping(source: Path | str) -> FileMapping:
    """A mapping from a YAML file, or from YAML text. Raises Invalid, which names the file."""
    text = _yaml_of(source)
    try:
        return parse_mapping(_read(text))
    except Invalid as error:
        if isinstance(source, str):
            raise
        raise Invalid(f"{source.name}: {error.message}") from error


def _read(text: str) -> dict[str, Any] | None:
    if len(text) > MAX_CHARACTERS:
        raise Invalid(f"The mapping is longer than {MAX_CHARACTERS} characters.")
    try:
        content: Any = yaml.load(text, _TextLoader)  # noqa: S506 - a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f": line {mark.line + 1} cannot be read ({error.problem})" if mark else ""
        raise Invalid(f"The mapping is not a readable YAML file{where}.") from error
    except RecursionError as error:
        raise Invalid("The mapping is nested too deeply.") from error
    except yaml.YAMLError as error:
        raise Invalid("The mapping is not a readable YAML file.") from error
    if content is None or isinstance(content, dict):
        return content
    kind = "a list" if isinstance(content, list) else "a text"
    raise Invalid(f"The mapping must be names with values, such as `columns:` with columns under it, but is {kind}.")


def _yaml_of(source: Path | str) -> str:
    if isinstance(source, str):
        return source
    require_readable(source)
    try:
        with source.open() as file:
            return file.read(MAX_CHARACTERS + 1)
    except OSError as error:
        raise refused_path(source, error, "read") from error
    except UnicodeDecodeError as error:
        raise Invalid(f"{source.name}: The mapping is not a readable YAML file.") from error
