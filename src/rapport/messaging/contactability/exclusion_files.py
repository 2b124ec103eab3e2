"""Files of customers who are excluded from marketing, each until an instant of its own, as other systems list them."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import IO

from rapport.access.scope import Scope
from rapport.errors import Invalid
from rapport.messaging.contactability.address_files import NO_TEXT, SEPARATORS
from rapport.messaging.contactability.excluding import exclude
from rapport.messaging.contactability.suppressions import MAX_PLACES_TOLD
from rapport.messaging.models import ExclusionReason

CUSTOMER, ENDS = "customer_id", "ends_at"
FOREVER = "forever"
AT_ONCE = 10_000
LENGTH_OF_DAY = len("2026-12-31")


@dataclass(frozen=True)
class FileExcluded:
    """How many customers a file has, for how many of them the exclusion is new, and for how many its end is past."""

    customers: int
    added: int
    ended: int


def exclude_file(scope: Scope, file: IO[str], reason: ExclusionReason) -> FileExcluded:
    """Exclude the customers of a CSV file with the columns customer_id and ends_at; may be repeated.

    An end is an instant, a local time of the tenant, a day (which the exclusion includes) or the word forever. What has
    ended already is passed over. Raises Invalid for a file that is no text, lacks a column, has nobody or has lines
    without a customer or an end; then nobody is excluded.
    """
    ends: dict[str, datetime | None] = {}
    bad: list[int] = []
    for number, customer_id, written in _lines(file):
        try:
            ends_at = _end(scope, written)
        except ValueError:
            bad.append(number)
            continue
        if not customer_id:
            bad.append(number)
        elif customer_id not in ends or _is_later(ends_at, ends[customer_id]):
            ends[customer_id] = ends_at
    if bad:
        listed = ", ".join(map(str, bad[:MAX_PLACES_TOLD])) + (", ..." if len(bad) > MAX_PLACES_TOLD else "")
        lines = "1 line has" if len(bad) == 1 else f"{len(bad):,} lines have"
        raise Invalid(f"{lines} no customer_id, or an ends_at that is no instant, day or {FOREVER!r} ({listed}).")
    if not ends:
        raise Invalid("file has no customers.")
    now, customers, added = scope.clock.now(), len(ends), 0
    standing = [(customer_id, ends_at) for customer_id, ends_at in ends.items() if ends_at is None or ends_at > now]
    for begin in range(0, len(standing), AT_ONCE):
        added += exclude(scope, dict(standing[begin : begin + AT_ONCE]), reason)
    return FileExcluded(customers, added, customers - len(standing))


def _is_later(ends_at: datetime | None, earlier: datetime | None) -> bool:
    return earlier is not None and (ends_at is None or ends_at > earlier)


def _end(scope: Scope, written: str) -> datetime | None:
    """The end that a cell says; None for good. Raises ValueError."""
    if written.lower() == FOREVER:
        return None
    ends_at = datetime.fromisoformat(written)
    if len(written) == LENGTH_OF_DAY:
        return scope.instant(datetime.combine(ends_at.date() + timedelta(days=1), time()))
    return ends_at.astimezone(UTC) if ends_at.tzinfo is not None else scope.instant(ends_at)


def _lines(file: IO[str]) -> Iterator[tuple[int, str, str]]:
    """Number, customer and end of each line after the header. Raises Invalid."""
    try:
        first = file.readline()
        file.seek(0)
        rows = csv.reader(file, delimiter=max(SEPARATORS, key=first.count))
        names = [name.strip().lower() for name in next(rows, [])]
        for column in (CUSTOMER, ENDS):
            if column not in names:
                raise Invalid(f"file has no column {column}: its first line must name the columns.")
        of_customer, of_end = names.index(CUSTOMER), names.index(ENDS)
        for row in rows:
            if any(cell.strip() for cell in row):
                cells = [*map(str.strip, row), *[""] * len(names)]
                yield rows.line_num, cells[of_customer], cells[of_end]
    except UnicodeDecodeError as error:
        raise Invalid(NO_TEXT) from error
    except csv.Error as error:
        raise Invalid(f"file cannot be read as CSV near line {rows.line_num}.") from error
