"""Columns of files that hold what identifies people: found by their names and values, marked, and told.

A mark of a person (`decided`) is never changed by a file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rapport.access.scope import Scope
from rapport.customers.attributes import BUILT_IN, AttributeInfo, attributes, save
from rapport.customers.formats.files import File, rows_sql
from rapport.customers.formats.repeated import totals
from rapport.customers.importing.plans import Bound, Plan
from rapport.customers.importing.suspicions import Suspicion, counted, visible
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
class Mark:
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


def marked(scope: Scope, file: File, plan: Plan, staged: str = "") -> tuple[Plan, list[Mark]]:
    """The plan of a customers file with the columns marked that identify people, and those that were not before.

    staged is the table of the file's rows, when all of them are staged: values are looked at there.
    """
    asked = [one for one in plan.bound if _is_open(one, plan.known)]
    marks = {mark.column: mark for mark in _marks(scope, file, asked, staged)}
    bound = tuple(
        replace(one, field=replace(one.field, pii=True)) if one.field.column in marks else one for one in plan.bound
    )
    new = tuple(
        replace(
            info,
            is_pii=info.real_field_name in marks,
            pii_reason=marks[info.real_field_name].reason if info.real_field_name in marks else NOT_PERSONAL,
        )
        for info in plan.new_attributes
    )
    return replace(plan, bound=bound, new_attributes=new), list(marks.values())


def _is_open(one: Bound, known: Mapping[str, AttributeInfo]) -> bool:
    """Whether nobody has decided on a column, and it is read from the file; a Yes or No identifies nobody."""
    info = known.get(one.field.column.upper())
    decided = info is not None and (info.is_pii or info.pii_reason == DECIDED)
    decided = decided or one.field.consent is not None
    return one.field.column != "customer_id" and one.text.startswith("r") and not decided


def _marks(scope: Scope, file: File, asked: Sequence[Bound], staged: str) -> list[Mark]:
    found = []
    # Times have no shape of an address or a number.
    shaped = [one for one in asked if one.field.type not in TIMES]
    by_value = _values(scope, file, shaped, staged)
    for one in asked:
        holds = named_personal(one.name, of_person=True) or named_personal(one.field.column, of_person=True)
        if holds and fits(holds, one.field.type):
            found.append(Mark(one.field.column, one.name, holds, BY_NAME))
        elif holds := by_value.get(one.field.column, ""):
            found.append(Mark(one.field.column, one.name, holds, BY_VALUES))
    return found


def _values(scope: Scope, file: File, asked: Sequence[Bound], staged: str) -> dict[str, str]:
    texts, rows, settings = [one.text for one in asked], f"SELECT * FROM ({rows_sql(file)})", file.settings  # noqa: S608 - made of the file's structure
    # Decimals are not staged as they were written.
    if staged and not any(one.field.type == "Decimal" for one in asked):
        texts, rows, settings = [_text(one.field.column) for one in asked], f"SELECT * FROM {staged}", ""  # noqa: S608 - ours
    wanted = [(value_counts, text) for text in texts]
    counts = totals(scope.warehouse, COUNTED, wanted, f"{rows} LIMIT {ROWS}", settings)
    return {one.field.column: by_values(counted) for one, counted in zip(asked, counts, strict=True)}


def _text(column: str) -> str:
    """SQL of a stored value as text."""
    return f"CAST({identifier(column)}, 'Nullable(String)')"


def mark_known(scope: Scope, marks: Sequence[Mark]) -> list[AttributeInfo]:
    """Mark those that are attributes already; these. What persons who were removed have in them is not cleared yet."""
    known = attributes(scope) if marks else {}
    changed = [
        replace(known[mark.column.upper()], is_pii=True, pii_reason=mark.reason)
        for mark in marks
        if mark.column.upper() in known and not known[mark.column.upper()].is_pii
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
    looked = [judged(info) for info in infos]
    looked = [
        replace(info, is_pii=True, pii_reason=BY_VALUES)
        if not info.is_pii and by_value.get(info.real_field_name)
        else info
        for info in looked
    ]
    for info in looked:
        _save_mark(scope, info)
    return [info for info in looked if info.is_pii]


def _stored(scope: Scope, infos: Sequence[AttributeInfo]) -> dict[str, str]:
    columns = [_text(info.real_field_name) for info in infos]
    rows = f"SELECT * FROM customers LIMIT {ROWS}"  # noqa: S608 - ours
    counts = totals(scope.warehouse, COUNTED, [(value_counts, column) for column in columns], rows)
    return {info.real_field_name: by_values(counted) for info, counted in zip(infos, counts, strict=True)}


def not_mapped(plan: Plan, marks: Sequence[Mark]) -> list[Suspicion]:
    """What an import tells of new columns with addresses, when the file gives nothing that messages are sent to."""
    given = {bound.field.column for bound in plan.bound}
    found = []
    for holds, attribute in WRITTEN_TO.items():
        columns = tuple(f"'{visible(mark.name)}' ({mark.column})" for mark in marks if mark.holds == holds)
        if columns and attribute not in given:
            message = (
                f"{counted(len(columns), 'column holds', 'columns hold')} {holds}, and none is mapped to {attribute}, "
                f"to which messages are sent: map it, as in columns: {{name in the file: {attribute}}}."
            )
            found.append(Suspicion("address_not_mapped", message, len(columns), columns))
    return found


def guessed(plan: Plan) -> list[Suspicion]:
    """What an import tells of columns that were taken, by their names, for what messages are sent to."""
    told = tuple(f"'{visible(name)}' ({attribute})" for name, attribute in plan.guessed)
    columns = counted(len(told), "column is", "columns are")
    message = (
        f"By name, {columns} read as addresses that messages go to. To load them as something else, name them in the "
        "mapping, as in columns: {name in the file: another name}."
    )
    return [Suspicion("address_by_name", message, len(told), told)] if told else []


def suspicions(plan: Plan, marks: Sequence[Mark]) -> list[Suspicion]:
    """What an import tells of columns that identify people."""
    if marks:
        told = tuple(f"'{visible(mark.name)}' ({mark.column}): {mark.holds}" for mark in marks)
        message = (
            f"{counted(len(marks), 'column identifies', 'columns identify')} people; RemoveCustomerPII clears what "
            "such a column (is_pii) holds. PATCH /manage/v1/attributes/{name} changes a mark."
        )
        return [Suspicion("personal_data", message, len(marks), told)]
    names = tuple(f"'{visible(name)}'" for name, _ in plan.properties if named_personal(name))
    columns = counted(len(names), "column seems", "columns seem")
    message = f"{columns} to identify people: RemoveCustomerPII takes such values out of a person's rows."
    return [Suspicion("personal_data", message, len(names), names)] if names else []
