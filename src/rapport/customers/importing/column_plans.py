"""A plan: which column of a file goes to which column of a table, as SQL."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rapport.access.scope import Scope
from rapport.conditions.text import most_alike
from rapport.customers.attributes import NUMERIC, WORDS, AttributeInfo, attributes
from rapport.customers.formats.dates import LOSSES, SQL_TYPES, Dates
from rapport.customers.formats.encodings import UTF8
from rapport.customers.formats.files import File
from rapport.customers.formats.headers import alias_of, attribute_of, column_name, field_name, same_name
from rapport.customers.formats.numerals import in_form, plain
from rapport.customers.formats.parquet import ISO_KINDS
from rapport.customers.formats.values import RULES, reason
from rapport.customers.importing.file_kinds import Field, Kind
from rapport.customers.importing.mapping import FileMapping, several
from rapport.customers.privacy.address_names import read_as
from rapport.customers.states import AttributeSource, ImportMode
from rapport.errors import Invalid
from rapport.stores.warehouse import literal

WRITABLE = (AttributeSource.BATCH,)
RESERVED = ("CUSTOMER_ID", "DATA_DATE")
# Of the names that a file may use, the one that the documentation and the wire use.
ONE_COLUMN = (
    " That is one column: name the delimiter or the lines before the header in the mapping (delimiter, skip_lines), "
    "and take off quotes around whole lines."
)
DOCUMENTED = {"customer_id": "CustomerID"}
NUMBERS = ("Number", *NUMERIC)


@dataclass(frozen=True)
class MappedColumn:
    """A column of the table with the text it is made of: SQL over r0, r1 ..., and the file's name for it.

    header is the name that a new attribute is made of: the file's, unless the mapping gives it another. What the
    mapping says of the column: an example of its numbers, its forms of dates.
    """

    field: Field
    text: str
    name: str
    header: str = ""
    number: str = ""
    formats: tuple[str, ...] = ()

    @property
    def index(self) -> int | None:
        """Which of the file's columns it is, from 0; None for what the mapping gives."""
        return int(self.text[1:]) if re.fullmatch("r[0-9]+", self.text) else None

    def plain(self, text: str) -> str:
        """SQL of a text of the column with its number written the usual way."""
        return plain(text, self.number) if self.number else text


@dataclass(frozen=True)
class Plan:
    """How rows of a file become rows of a kind's table."""

    kind: Kind
    columns: tuple[MappedColumn, ...]
    properties: tuple[tuple[str, str], ...]
    new_attributes: tuple[AttributeInfo, ...]
    ignored: tuple[str, ...]
    dates: Dates
    # Rows may leave out what is to stay as it is: see staging.missing_sql.
    partial: bool = False
    event_types: tuple[tuple[str, int], ...] = ()
    # The indexes of columns whose dates the file holds as dates.
    iso: frozenset[int] = frozenset()
    # The tenant's attributes, as they were when the file was opened.
    attributes: Mapping[str, AttributeInfo] = field(default_factory=dict)
    # The file's columns that were taken for what messages are sent to by their names: see address_names.
    guessed: tuple[tuple[str, str], ...] = ()
    # The encoding of the file's bytes.
    encoding: str = UTF8
    # Only the usual form of a value is read, in SQL of few words; what has another form does not fit.
    usual: bool = False

    def value(self, column: MappedColumn, text: str) -> str:
        """SQL of a column's typed value of a text; NULL where it is absent or does not fit."""
        text = column.plain(text)
        value = self.typed(column, column.field.type, text)
        return f"if({self._comes_back(column, text)}, {value}, NULL)" if column.field.forms else value

    def _comes_back(self, column: MappedColumn, text: str) -> str:
        """SQL of whether a text is in the form in which the attribute's values come back."""
        if column.field.type in SQL_TYPES:
            return self.dates_of(column).keeps(column.field.type, text, usual=self.usual)
        return in_form(text, column.field.forms)

    def typed(self, column: MappedColumn, type_: str, text: str) -> str:
        """SQL of a column's value of a text as one of a type."""
        if column.field.consent is not None:
            return column.field.consent.usual_sql(text) if self.usual else column.field.consent.sql(text)
        if type_ in SQL_TYPES:
            dates = self.dates_of(column)
            if self.usual and not dates.formats:
                value = dates.usual(type_, text)
            else:
                value = dates.value(type_, text, birth="BIRTH" in column.field.column.upper())
            # Attributes come back as they were written.
            is_time = type_ == "Datetime" and column.field.column == self.kind.time_column
            return dates.moved_on(value) if is_time else value
        return RULES[type_].value(text)

    def dates_of(self, column: MappedColumn) -> Dates:
        """How the dates of a column are read: constants of the mapping and dates of Parquet are in the ISO form."""
        formats = (
            column.formats or self.dates.formats if column.index is not None and column.index not in self.iso else ()
        )
        return self.dates if formats == self.dates.formats else replace(self.dates, formats=formats)

    def fault(self, column: MappedColumn) -> str:
        """SQL that is true when a column's text is refused; v_<column> is its value."""
        if column.field.consent is not None and not self.usual:
            return "false"
        absent = f"v_{column.field.column} IS NULL"
        if column.field.required:
            lenient = self.partial and self.kind.name == "customers" and column.field.column != "customer_id"
            return (
                f"({absent} AND NOT has(_missing, {column.index}))" if lenient and column.index is not None else absent
            )
        return f"({absent} AND {column.text} IS NOT NULL)"

    def reason(self, column: MappedColumn, text: str) -> str:
        """SQL of why a text of a column is refused."""
        if column.number:
            otherwise = self.reason(replace(column, number=""), text)
            misfit = f"{text} IS NOT NULL AND {column.plain(text)} IS NULL"
            return f"if({misfit}, {literal(f'is not a number written as {column.number}')}, {otherwise})"
        if column.field.forms and column.field.type not in SQL_TYPES:
            return "'is not a decimal number in the form of the column''s other values, so it would not come back'"
        if column.field.type not in SQL_TYPES:
            return reason(column.field.type, text, required=column.field.required)
        dates = self.dates_of(column)
        misfit = dates.reason(column.field.type, text)
        if column.field.forms:
            whole = f"{dates.fits(column.field.type, text)} AND NOT {dates.keeps(column.field.type, text)}"
            misfit = f"if({whole}, {literal(LOSSES[column.field.type])}, {misfit})"
        return f"if({text} IS NULL, 'is required and empty', {misfit})" if column.field.required else misfit

    @property
    def consents(self) -> list[MappedColumn]:
        """The columns that are read as Yes or No."""
        return [column for column in self.columns if column.field.consent is not None]

    def has(self, column: str) -> bool:
        """Whether the file gives a column."""
        return any(mapped.field.column == column for mapped in self.columns)


def make_plan(scope: Scope, kind: Kind, file: File, mapping: FileMapping, mode: str) -> Plan:
    """Map a file's columns. Raises Invalid for a missing mandatory column or one given twice."""
    _check_named(file, mapping)
    guessed = _guessed(scope, kind, file, mapping)
    renamed = {same_name(source): target for source, target in {**guessed, **mapping.columns}.items()}
    columns: list[MappedColumn] = []
    extras: list[tuple[str, str, str]] = []
    for index, name in enumerate(file.names):
        target = renamed.get(same_name(name), name)
        if target is not None:
            _map_column(kind, target, f"r{index}", name, columns, extras)
    for target, constant in mapping.constants.items():
        _map_column(kind, target, literal(_text(constant)), target, columns, extras)
    if mapping.generate_ids:
        _generate_id(kind, len(file.names), columns)
    plan = Plan(kind, tuple(columns), (), (), (), Dates(str(scope.time_zone), scope.today(), mapping.formats))
    plan = _with_attributes(scope, plan, extras) if kind.extras == "attributes" else _with_properties(plan, extras)
    plan = _with_forms(plan, file, mapping)
    _check_complete(plan, mode, file)
    # Items without numbers are replaced all at once with their transaction's others.
    keyed = kind.name != "items" or plan.has("line_number")
    partial = mode == ImportMode.INCREMENTAL and keyed and (file.format == "jsonl" or mapping.blank_cells == "keep")
    iso = frozenset(index for index, kind in enumerate(file.kinds) if kind in ISO_KINDS)
    return replace(plan, partial=partial, iso=iso, guessed=tuple(guessed.items()), encoding=file.encoding)


def _guessed(scope: Scope, kind: Kind, file: File, mapping: FileMapping) -> dict[str, str]:
    """The columns of a customers file that are read as what messages are sent to, see address_names."""
    if kind.extras != "attributes":
        return {}
    targets = [name for name in mapping.columns.values() if name is not None]
    recognized = (name for name in file.names if field_name(name) in kind.by_name)
    taken_names = {field_name(name) for name in (*mapping.columns, *targets, *mapping.constants, *recognized)}
    return read_as(scope, file, attributes(scope), taken_names)


def _check_named(file: File, mapping: FileMapping) -> None:
    named = (*mapping.columns, *mapping.values, *mapping.numbers, *mapping.date_formats)
    file_columns = {same_name(name) for name in file.names}
    unknown = [name for name in named if same_name(name) not in file_columns]
    if unknown:
        present = ", ".join(file.names[:20])
        hint = _turned_round(mapping, file_columns)
        raise Invalid(
            f"The mapping names the column {unknown[0]!r}, which the file does not have; it has {present}.{hint}"
        )


def _turned_round(mapping: FileMapping, file_columns: set[str]) -> str:
    """What to write instead where `columns` seem to have the file's name behind ours; empty where they do not."""
    turned = [
        f"{value}: {name}"
        for name, value in mapping.columns.items()
        if value is not None and same_name(name) not in file_columns and same_name(value) in file_columns
    ]
    return f" Write columns the other way round, the file's name first: {', '.join(turned)}." if turned else ""


def _with_forms(plan: Plan, file: File, mapping: FileMapping) -> Plan:
    """Tell columns how the mapping says that they write numbers and dates; a new attribute with numbers holds them."""
    numbers = {same_name(name): example for name, example in mapping.numbers.items()}
    formats = {same_name(name): several(forms) for name, forms in mapping.date_formats.items()}
    columns, new_attributes = [], []
    for column in plan.columns:
        name = "" if column.index is None else same_name(file.names[column.index])
        number = numbers.pop(name, "") if column.field.type in ("", *NUMBERS) else ""
        dated = formats.pop(name, ()) if column.field.type in ("", *SQL_TYPES) else ()
        field = replace(column.field, type=column.field.type or "Decimal") if number else column.field
        columns.append(replace(column, field=field, number=number, formats=dated))
        if number and not column.field.type:
            new_attributes.append(new_attribute(columns[-1]))
    for member, unused, content in (("numbers", numbers, "numbers"), ("date_formats", formats, "dates")):
        if unused:
            raise Invalid(f"The mapping's {member}: {min(unused)!r} is not loaded into a column of {content}.")
    return replace(plan, columns=tuple(columns), new_attributes=tuple(new_attributes))


def new_attribute(mapped: MappedColumn) -> AttributeInfo:
    """The attribute that a column of a file makes, of the type that the column has."""
    column, header = mapped.field.column, mapped.header
    forms = mapped.field.forms
    return AttributeInfo(
        column, alias_of(header), "", mapped.field.type, AttributeSource.BATCH, forms=forms, header=same_name(header)
    )


def _text(constant: str | int | float | bool) -> str:
    return str(constant).lower() if isinstance(constant, bool) else str(constant)


def _map_column(
    kind: Kind, target: str, text: str, name: str, columns: list[MappedColumn], extras: list[tuple[str, str, str]]
) -> None:
    field = kind.by_name.get(field_name(target))
    if field is None:
        extras.append((target.strip(), text, name))
    elif earlier := next((column.name for column in columns if column.field.column == field.column), None):
        raise Invalid(f"The file gives {field.names[0]} twice: in {earlier!r} and in {name!r}.")
    else:
        columns.append(MappedColumn(field, text, name))


def _generate_id(kind: Kind, width: int, columns: list[MappedColumn]) -> None:
    field = next(field for field in kind.fields if field.column == kind.key[0])
    if any(column.field.column == field.column for column in columns):
        return
    content = ", ".join(f"ifNull(r{index}, '')" for index in range(width))
    columns.append(
        MappedColumn(field, f"CAST(lower(hex(sipHash128(_row, {content}))), 'Nullable(String)')", "generated id")
    )


def _with_properties(plan: Plan, extras: list[tuple[str, str, str]]) -> Plan:
    return replace(plan, properties=tuple((target, text) for target, text, _ in extras))


def _with_attributes(scope: Scope, plan: Plan, extras: list[tuple[str, str, str]]) -> Plan:
    attributes_by_name, ignored = attributes(scope), []
    columns = [replace(mapped, field=_with_consent(mapped.field, attributes_by_name)) for mapped in plan.columns]
    for target, text, name in extras:
        info = attribute_of(attributes_by_name, target)
        column = info.real_field_name if info else column_name(target)
        if info is not None and info.source not in WRITABLE:
            ignored.append(name)
            continue
        if column in RESERVED:
            raise Invalid(
                f"The file's column {name!r} would be {column}, which is reserved for Rapport: map it to another name."
            )
        if earlier := next((mapped.name for mapped in columns if mapped.field.column == column), None):
            raise Invalid(
                f"The file's columns {earlier!r} and {name!r} would both be the attribute {column}: map one of them "
                "to another name."
            )
        # A new attribute's type is found by reading the file: see inference.typed.
        field = Field(column, info.field_type, (), pii=info.is_pii, forms=info.forms) if info else Field(column, "", ())
        columns.append(MappedColumn(_with_consent(field, attributes_by_name), text, name, target))
    return replace(plan, columns=tuple(columns), ignored=tuple(ignored), attributes=attributes_by_name)


def _with_consent(field: Field, attributes_by_name: dict[str, AttributeInfo]) -> Field:
    """A field that is read as Yes or No when its attribute is one of consent."""
    info = attributes_by_name.get(field.column.upper())
    return replace(field, consent=info.consent) if info is not None and info.field_type in WORDS else field


# How systems call the number of something, in the languages of our users.
NUMBER = re.compile(r"(?:^|[^a-z])(?:id|ids|no|nr|num|number|nummer|numero|número|numéro|key|code|ref)(?:$|[^a-z])")
IN_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")


def _most_alike(name: str, plan: Plan, file: File) -> str:
    """Of the columns of a file that are not known, the one whose name is the most like one that is missing.

    For an ID, columns that are called a number come before all others.
    """
    known = {column.index for column in plan.columns if column.field in plan.kind.fields}
    unknown = [header for index, header in enumerate(file.names) if index not in known] or file.names
    numbers = [header for header in unknown if _is_number(header)] if _is_number(name) else []
    return most_alike(name, numbers or unknown)


def _is_number(header: str) -> bool:
    """Whether a column is called an ID, such as Kunden-Nr or clientNumber."""
    words = IN_CAMEL_CASE.sub(" ", header).casefold()
    return NUMBER.search(words) is not None or words.endswith(("nummer", "number"))


def _check_complete(plan: Plan, mode: str, file: File) -> None:
    for required_field in plan.kind.fields:
        lenient = (
            plan.kind.name == "customers" and mode == ImportMode.INCREMENTAL and required_field.column != "customer_id"
        )
        if required_field.required and not lenient and not plan.has(required_field.column):
            name = DOCUMENTED.get(required_field.column, required_field.names[0])
            present = ", ".join(file.names[:20])
            alike = _most_alike(name, plan, file)
            mapped = f" If one of them is that, a mapping says so: columns: {{{alike}: {name}}}."
            hint = ONE_COLUMN if len(file.names) == 1 else mapped
            raise Invalid(f"The file has no column {name}, which {plan.kind.name} must have; it has {present}.{hint}")
