"""Files of addresses that must not be written to, as other systems give them: a line each, or a column of a CSV."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO

from rapport.access.scope import Scope
from rapport.channels import addresses as channel_addresses
from rapport.channels import service as channels
from rapport.channels.kinds.base import AddressForm
from rapport.errors import Invalid
from rapport.messaging.contactability.suppressions import MAX_PLACES_TOLD, Why, audit_addresses, keep_checked
from rapport.messaging.models import EVERY_CHANNEL, WishSource

AT_ONCE = 10_000
SEPARATORS = ",;\t|"
EMPTY = "file has no addresses: it is empty, or has only a header."
FEWEST_DIGITS = 6  # of what may be a phone number
NO_TEXT = "file is not text in UTF-8: save it as UTF-8."


@dataclass(frozen=True)
class FileSuppressed:
    """Addresses of a file that get nothing on a channel: how many, how many of them were not given before, and how many
    lines have none, with the numbers of the first hundred of those."""

    addresses: int
    added: int
    refused: int
    refused_lines: list[int]


def suppress_file(
    scope: Scope,
    file: IO[str],
    channel_id: int = EVERY_CHANNEL,
    reason: str = "manual",
    column: str = "",
    *,
    allow_rejects: bool = False,
) -> FileSuppressed:
    """Write no more to the addresses of a file on a channel (0: on any), whoever has or gets them: all or none.

    They are in the first column, or in the one of a name; a first line with neither a digit nor an @ is a header. Blank
    lines are passed over. What goes for every channel must look like an e-mail address or a phone number. The audit log
    has the reason. Raises Invalid for a file that is no text or has no address at all, a column that is not there and,
    unless allow_rejects, lines that have no address.
    """
    why = Why.of(reason, WishSource.FILE)
    form = _form(scope, channel_id)
    good, bad = _judged(file, column, form)
    if not good:
        where = f"column {column!r}" if column else "the first column: name the one that has them in column"
        raise Invalid(f"file has no {form.name} in {where}." if bad else EMPTY)
    if bad and not allow_rejects:
        listed = ", ".join(map(str, bad[:MAX_PLACES_TOLD])) + (", ..." if len(bad) > MAX_PLACES_TOLD else "")
        lines = "1 line has" if len(bad) == 1 else f"{len(bad):,} lines have"
        raise Invalid(f"{lines} no {form.name} ({listed}): correct them, or set allow_rejects.")
    cells = (cell for _, cell in _cells(file, column) if form.passes(channel_addresses.address_key(cell)))
    added = 0
    with scope.records() as session:
        while batch := list(islice(cells, AT_ONCE)):
            added += keep_checked(scope, session, channel_id, batch, why)
        audit_addresses(scope, session, channel_id, why, added)
    return FileSuppressed(good, added, len(bad), bad[:MAX_PLACES_TOLD])


def _form(scope: Scope, channel_id: int) -> AddressForm:
    """A channel may reach people by what is neither (tokens, handles), which on all channels is likelier a mistake."""
    if channel_id == EVERY_CHANNEL:
        return MAIL_OR_PHONE
    return channels.channel(scope, channel_id).behaviour.address_form


def _may_be_mail_or_phone(key: str) -> bool:
    local, _, domain = key.rpartition("@")
    return bool(local and domain) or sum(map(str.isdecimal, key)) >= FEWEST_DIGITS


MAIL_OR_PHONE = AddressForm(
    "e-mail address or phone number", "e-mail addresses or phone numbers", "an", _may_be_mail_or_phone
)


def _judged(file: IO[str], column: str, form: AddressForm) -> tuple[int, list[int]]:
    """How many lines have an address, and the numbers of those that have none."""
    good, bad = 0, []
    for number, cell in _cells(file, column):
        if form.passes(channel_addresses.address_key(cell)):
            good += 1
        else:
            bad.append(number)
    return good, bad


def _cells(file: IO[str], column: str) -> Iterator[tuple[int, str]]:
    """The cells of the column with the numbers of their lines, from the file's beginning on."""
    try:
        file.seek(0)
        first = file.readline()
        file.seek(0)
        separator = max(SEPARATORS, key=first.count)
        rows = csv.reader(file, delimiter=separator)
        position = 0
        for row in rows:
            if rows.line_num == 1 and _is_header(row, column):
                position = _place(row, column)
            elif any(cell.strip() for cell in row):
                yield rows.line_num, row[position] if position < len(row) else ""
    except UnicodeDecodeError as error:
        raise Invalid(NO_TEXT) from error
    except csv.Error as error:
        raise Invalid(f"file cannot be read as CSV near line {rows.line_num}.") from error


def _is_header(row: list[str], column: str) -> bool:
    return bool(column) or not any(sign == "@" or sign.isdecimal() for sign in "".join(row[:1]))


def _place(row: list[str], column: str) -> int:
    """Where the column of a name is, by the header; the first without a name. Raises Invalid."""
    names = [cell.strip().lower() for cell in row]
    if column and column.strip().lower() not in names:
        raise Invalid(f"column {column!r} is not in the first line of the file.")
    return names.index(column.strip().lower()) if column else 0
