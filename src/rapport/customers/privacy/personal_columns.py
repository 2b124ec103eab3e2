"""Columns of files that hold what identifies people: found by their names and values, marked, and told.

A mark of a person (`decided`) is never changed by a file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rapport.access.scope import Scope
from rapport.customers.attributes import BUILT_IN, AttributeInfo, attributes, save
from rapport.customers.formats.files import File, rows_sql
from rapport.customers.formats.repeated import totals
from rapport.customers.importing.column_plans import MappedColumn, Plan
from rapport.customers.importing.file_warnings import FileWarning, counted, visible
from rapport.customers.privacy.personal_names import BIRTHDAY, EMAIL_ADDRESS, NUMBER, PHONE, named_personal
from rapport.customers.privacy.personal_values import holds_email, is_phone
from rapport.customers.states import STORED_SOURCES
from rapport.stores.warehouse import identifier

BY_NAME, BY_VALUES, DECIDED, NOT_PERSONAL = "name", "values", "decided", "none"
# Of so many first rows this share of values makes a column one of addresses or numbers.
ROWS, SHARE = 200_000, 0.3
COUNTED = ("sum", "sum", "sum")
OURS = {info.real_field_name for info in BUILT_IN}
# Where the channels look for whom they write to, unless they are told another attribute.
WRITTEN_TO = {EMAIL_ADDRESS: "EMAIL", PHONE: "MOBILE_NUMBER"}
NUMERIC, TIMES = ("Int", "Bigint", "Decimal"), ("Date", "Datetime", "Day")


@dataclass(frozen=True)
class PersonalColumn:
    """A column that holds what identifies people. holds says what; reason is BY_NAME or BY_VALUES."""

    column: str
    name: str
    holds: str
    reason: str


def fits(holds: str, field_type: str) -> bool:
    """Whether a column of this type can hold what its name says: days are birthdays, numbers are phones."""
    if field_type in TIMES:
        return holds == BIRTHDAY
    return holds in (PHONE, NUMBER) if field_type in NUMERIC else True


def by_values(counts: Sequence[int]) -> str:
    """What a column holds by its numbers of values, of e-mail addresses and of phone numbers; empty for neither."""
    present, emails, phones = counts
    if not present or emails + phones < SHARE * present:
        return ""
    return EMAIL_ADDRESS if emails >= phones else PHONE


def value_counts(text: str) -> str:
    """SQL of what by_values takes the sums of, of a Nullable text."""
    value = f"ifNull({text}, '')"
    return f"({text} IS NOT NULL, {holds_email(value)}, {is_phone(value)})"


def judged(info: AttributeInfo) -> AttributeInfo:
    """An attribute that is made, marked by its name when nobody has decided."""
    if info.pii_reason == DECIDED:
        return info
    holds = named_personal(info.real_field_name, of_person=True) or named_personal(info.alias, of_person=True)
    personal = bool(holds) and fits(holds, info.field_type)
    return replace(info, is_pii=personal, pii_reason=BY_NAME if personal else NOT_PERSONAL)


def marked(scope: Scope, file: File, plan: Plan, staged: str = "") -> tuple[Plan, list[PersonalColumn]]:
    """The plan of a customers file with the columns marked that identify people, and those that were not before.

    staged is the table of the file's rows, when all of them are staged: values are looked at there.
    """
    open_columns = [column for column in plan.columns if _is_open(column, plan.attributes)]
    personal_by_column = {
        personal.column: personal for personal in _personal_columns(scope, file, open_columns, staged)
    }
    columns = tuple(
        replace(column, field=replace(column.field, pii=True)) if column.field.column in personal_by_column else column
        for column in plan.columns
    )
    new_attributes = tuple(
        replace(
            info,
            is_pii=info.real_field_name in personal_by_column,
            pii_reason=personal.reason if (personal := personal_by_column.get(info.real_field_name)) else NOT_PERSONAL,
        )
        for info in plan.new_attributes
    )
    return replace(plan, columns=columns, new_attributes=new_attributes), list(personal_by_column.values())


def _is_open(column: MappedColumn, attributes_by_name: Mapping[str, AttributeInfo]) -> bool:
    """Whether nobody has decided on a column, and it is read from the file; a Yes or No identifies nobody."""
    info = attributes_by_name.get(column.field.column.upper())
    decided = info is not None and (info.is_pii or info.pii_reason == DECIDED)
    decided = decided or column.field.consent is not None
    return column.field.column != "customer_id" and column.text.startswith("r") and not decided


def _personal_columns(scope: Scope, file: File, columns: Sequence[MappedColumn], staged: str) -> list[PersonalColumn]:
    personal_columns = []
    # Times have no shape of an address or a number.
    shaped = [column for column in columns if column.field.type not in TIMES]
    by_value = _values(scope, file, shaped, staged)
    for column in columns:
        holds = named_personal(column.name, of_person=True) or named_personal(column.field.column, of_person=True)
        if holds and fits(holds, column.field.type):
            personal_columns.append(PersonalColumn(column.field.column, column.name, holds, BY_NAME))
        elif holds := by_value.get(column.field.column, ""):
            personal_columns.append(PersonalColumn(column.field.column, column.name, holds, BY_VALUES))
    return personal_columns


def _values(scope: Scope, file: File, columns: Sequence[MappedColumn], staged: str) -> dict[str, str]:
    texts, rows, settings = [column.text for column in columns], f"SELECT * FROM ({rows_sql(file)})", file.settings  # noqa: S608 - made of the file's structure
    # Decimals are not staged as they were written.
    if staged and not any(column.field.type == "Decimal" for column in columns):
        texts, rows, settings = [_text(column.field.column) for column in columns], f"SELECT * FROM {staged}", ""  # noqa: S608 - ours
    expressions = [(value_counts, text) for text in texts]
    counts = totals(scope.warehouse, COUNTED, expressions, f"{rows} LIMIT {ROWS}", settings)
    return {column.field.column: by_values(counted) for column, counted in zip(columns, counts, strict=True)}


def _text(column: str) -> str:
    """SQL of a stored value as text."""
    return f"CAST({identifier(column)}, 'Nullable(String)')"


def mark_known(scope: Scope, personal_columns: Sequence[PersonalColumn]) -> list[AttributeInfo]:
    """Mark those that are attributes already; these. What persons who were removed have in them is not cleared yet."""
    attributes_by_name = attributes(scope) if personal_columns else {}
    changed = [
        replace(attributes_by_name[column.column.upper()], is_pii=True, pii_reason=column.reason)
        for column in personal_columns
        if column.column.upper() in attributes_by_name and not attributes_by_name[column.column.upper()].is_pii
    ]
    for info in changed:
        _save_mark(scope, info)
    return changed


def _save_mark(scope: Scope, info: AttributeInfo) -> None:
    save(scope, info)
    if info.is_pii:
        with scope.records() as session:
            scope.audit(session, "mark as identifying", f"attribute {info.real_field_name}", reason=info.pii_reason)


def open_attributes(scope: Scope) -> list[AttributeInfo]:
    """Attributes of before, at which nobody has looked."""
    return [
        info
        for info in attributes(scope).values()
        if info.real_field_name not in OURS and info.source in STORED_SOURCES and not (info.is_pii or info.pii_reason)
    ]


def look_at(scope: Scope, infos: Sequence[AttributeInfo]) -> list[AttributeInfo]:
    """Judge attributes of before by names and stored values; those that were marked. May be repeated."""
    texts = [info for info in infos if info.field_type in ("Nvarchar", "Varchar")]
    by_value = _stored(scope, texts)
    judged_infos = [judged(info) for info in infos]
    judged_infos = [
        replace(info, is_pii=True, pii_reason=BY_VALUES)
        if not info.is_pii and by_value.get(info.real_field_name)
        else info
        for info in judged_infos
    ]
    for info in judged_infos:
        _save_mark(scope, info)
    return [info for info in judged_infos if info.is_pii]


def _stored(scope: Scope, infos: Sequence[AttributeInfo]) -> dict[str, str]:
    columns = [_text(info.real_field_name) for info in infos]
    rows = f"SELECT * FROM customers LIMIT {ROWS}"  # noqa: S608 - ours
    counts = totals(scope.warehouse, COUNTED, [(value_counts, column) for column in columns], rows)
    return {info.real_field_name: by_values(counted) for info, counted in zip(infos, counts, strict=True)}


def not_mapped(plan: Plan, personal_columns: Sequence[PersonalColumn]) -> list[FileWarning]:
    """What an import tells of new columns with addresses, when the file gives nothing that messages are sent to."""
    mapped_columns = {mapped.field.column for mapped in plan.columns}
    unmapped = []
    for holds, attribute in WRITTEN_TO.items():
        descriptions = tuple(
            f"'{visible(column.name)}' ({column.column})" for column in personal_columns if column.holds == holds
        )
        if descriptions and attribute not in mapped_columns:
            subject = counted(len(descriptions), "column holds", "columns hold")
            message = (
                f"{subject} {holds}, and none is mapped to {attribute}, "
                f"to which messages are sent: map it, as in columns: {{name in the file: {attribute}}}."
            )
            unmapped.append(FileWarning("address_not_mapped", message, len(descriptions), descriptions))
    return unmapped


def guessed(plan: Plan) -> list[FileWarning]:
    """What an import tells of columns that were taken, by their names, for what messages are sent to."""
    examples = tuple(f"'{visible(name)}' ({attribute})" for name, attribute in plan.guessed)
    subject = counted(len(examples), "column is", "columns are")
    message = (
        f"By name, {subject} read as addresses that messages go to. To load them as something else, name them in the "
        "mapping, as in columns: {name in the file: another name}."
    )
    return [FileWarning("address_by_name", message, len(examples), examples)] if examples else []


def warnings(plan: Plan, personal_columns: Sequence[PersonalColumn]) -> list[FileWarning]:
    """What an import tells of columns that identify people."""
    if personal_columns:
        examples = tuple(f"'{visible(column.name)}' ({column.column}): {column.holds}" for column in personal_columns)
        subject = counted(len(personal_columns), "column identifies", "columns identify")
        message = (
            f"{subject} people; RemoveCustomerPII clears what "
            "such a column (is_pii) holds. PATCH /manage/v1/attributes/{name} changes a mark."
        )
        return [FileWarning("personal_data", message, len(personal_columns), examples)]
    names = tuple(f"'{visible(name)}'" for name, _ in plan.properties if named_personal(name))
    subject = counted(len(names), "column seems", "columns seem")
    message = f"{subject} to identify people: RemoveCustomerPII takes such values out of a person's rows."
    return [FileWarning("personal_data", message, len(names), names)] if names else []
