"""Right to be forgotten: identifying attributes leave every table, and the disk.

A person is remembered by pseudonym, so that later loads stay masked. First the values disappear from what
is read; then the tables are rewritten and what they were before is dropped.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from rapport.access.kept import ANONYMISE, keep_removal
from rapport.access.pseudonyms import PSEUDONYM, pseudonym_secret, pseudonyms
from rapport.access.scope import Scope
from rapport.customers.attributes import attributes
from rapport.customers.models import Removed
from rapport.customers.privacy import scrubbing
from rapport.customers.privacy.personal_names import named_personal
from rapport.customers.privacy.personal_values import PersonalTexts, identifies, member_names
from rapport.customers.privacy.scrubbing import ERASED, IDS, PROPERTIED
from rapport.customers.writes import locks
from rapport.customers.writes.attribute_writes import IDS_AT_ONCE, spellings
from rapport.errors import Invalid
from rapport.stores.warehouse import identifier

MAX_IDS = 50_000
MARKS, BEFORE = "erase_marks", "erase_before"
WIDE = ("customers", "profiles")
# Whoever has left the table of customers may be in others still.
ELSEWHERE = " UNION ALL ".join(
    f"SELECT DISTINCT customer_id FROM {table} WHERE lowerUTF8(customer_id) IN {{keys:Array(String)}}"  # noqa: S608 - ours
    for table in ("profiles", *PROPERTIED)
)
RECEIVED = f"SELECT lowerUTF8(customer_id) AS key, groupUniqArray(customer_id) FROM ({ELSEWHERE}) GROUP BY key"  # noqa: S608 - ours


def remember(scope: Scope, customer_ids: Iterable[str]) -> tuple[list[str], PersonalTexts]:
    """Mask these persons from now on: the ids that nobody ever had, and what identified the others.

    A person removed before is not reported, nor one who is known only by transactions, events or a profile of before.
    What is on the disk is rewritten by `rewrite`, which forgets what identified them. Raises Invalid for too many ids.
    """
    ids = list(dict.fromkeys(customer_ids))
    if not ids:
        raise Invalid("CustomerIDs must not be empty.")
    if len(ids) > MAX_IDS:
        raise Invalid(f"CustomerIDs must have at most {MAX_IDS} ids, not {len(ids)}.")
    with locks.writing(scope):
        known_ids = spellings(scope, ids)
        before = set(removed_pseudonyms(scope))
        marks = dict(zip(ids, pseudonyms(scope, ids), strict=True))
        not_removed = [customer_id for customer_id in ids if marks[customer_id] not in before]
        others = _received(scope, [customer_id for customer_id in not_removed if customer_id.lower() not in known_ids])
        spellings_by_key = {key: [customer_id] for key, customer_id in known_ids.items()} | others
        failed = [customer_id for customer_id in not_removed if customer_id.lower() not in spellings_by_key]
        new = {
            customer_id: marks[customer_id] for customer_id in not_removed if customer_id.lower() in spellings_by_key
        }
        if new:
            keep_removal(scope, ANONYMISE, new.values())
            note(scope, new.values(), "remove identifying data")
            hide(scope, [spelling for customer_id in new for spelling in spellings_by_key[customer_id.lower()]])
        return failed, scrubbing.own_texts(scope, ids)


def _received(scope: Scope, customer_ids: list[str]) -> dict[str, list[str]]:
    """The spellings of persons who are no customers, by the lower-case id, where files or events told of them."""
    spellings_by_key: dict[str, list[str]] = {}
    keys = list({customer_id.lower() for customer_id in customer_ids})
    for begin in range(0, len(keys), IDS_AT_ONCE):
        for key, received in scope.warehouse.rows(RECEIVED, keys=keys[begin : begin + IDS_AT_ONCE]):
            spellings_by_key[str(key)] = list(received)
    return spellings_by_key


def ids_of(scope: Scope, marks: list[str], tables: Iterable[str]) -> list[str]:
    """The CustomerIDs in these tables whose pseudonym is among marks. Call it under locks.writing."""
    stage_known(scope, marks, tables)
    rows = scope.warehouse.rows(f"SELECT DISTINCT customer_id FROM {IDS}")  # noqa: S608 - ours
    customer_ids = [str(customer_id) for (customer_id,) in rows]
    scope.warehouse.execute(f"DROP TABLE {IDS} SYNC")
    return customer_ids


def removed_pseudonyms(scope: Scope) -> list[str]:
    """The pseudonyms of everybody who was removed."""
    with scope.reads() as session:
        return list(session.scalars(select(Removed.key).where(Removed.tenant_id == scope.tenant_id)))


def removed_among(scope: Scope, marks: Collection[str]) -> list[str]:
    """Those of pseudonyms whose persons were removed."""
    of_these = (Removed.tenant_id == scope.tenant_id, Removed.key.in_(marks))
    with scope.reads() as session:
        return list(session.scalars(select(Removed.key).where(*of_these)))


def attribute_named(parameter: str) -> str:
    """The attribute, in upper case, that a parameter is a value of, if it is one's. As scrubbing.ATTRIBUTE_NAMED."""
    return parameter.upper().replace("OOTB_", "", 1)


def identifying_names(scope: Scope, customer_ids: Iterable[str]) -> tuple[set[str], set[str]]:
    """Those of these persons who were removed, and the identifying attributes that removed persons do not have.

    Without any as long as nobody was removed.
    """
    with scope.reads() as session:
        any_removed = session.scalar(select(Removed.key).where(Removed.tenant_id == scope.tenant_id).limit(1))
    if any_removed is None:
        return set(), set()
    marks = set(removed_pseudonyms(scope))
    ids = list(customer_ids)
    removed = {customer_id for customer_id, mark in zip(ids, pseudonyms(scope, ids), strict=True) if mark in marks}
    return removed, hidden_names(scope)


def hidden_names(scope: Scope) -> set[str]:
    """The identifying attributes, in upper case."""
    return {info.real_field_name.upper() for info in attributes(scope).values() if info.is_pii}


def is_identifying(name: str, value: Any, hidden: Collection[str]) -> bool:
    """Whether a parameter of an event identifies somebody, as scrubbing.kept_properties has it of properties.

    hidden are names of identifying attributes, in upper case.
    """
    if attribute_named(name) in hidden or named_personal(name):
        return True
    return isinstance(value, str) and (identifies(value) or any(map(named_personal, member_names(value))))


def note(scope: Scope, marks: Collection[str], action: str) -> None:
    """Remember persons by pseudonym as removed; the audit log tells how many, not who."""
    with scope.records() as session:
        session.execute(insert(Removed).on_conflict_do_nothing(), _removed(scope, marks))
        scope.audit(session, action, f"{len(marks)} customers")


def remember_removed(scope: Scope, marks: Collection[str]) -> None:
    """Remember persons by pseudonym as removed, of which the caller tells the audit log when it is done."""
    with scope.records() as session:
        session.execute(insert(Removed).on_conflict_do_nothing(), _removed(scope, marks))


def _removed(scope: Scope, marks: Collection[str]) -> list[dict[str, Any]]:
    return [{"tenant_id": scope.tenant_id, "key": mark, "removed_at": scope.clock.now()} for mark in marks]


def _identifying(scope: Scope, table: str) -> list[str]:
    present = scope.warehouse.columns(table)
    return [
        info.real_field_name for info in attributes(scope).values() if info.is_pii and info.real_field_name in present
    ]


def stage_ids(scope: Scope, customer_ids: list[str]) -> None:
    """Make the table erase_ids. Call it under locks.writing.

    Whatever changes rows names the ids by it, since the engine keeps the text of a change in a file.
    """
    scope.warehouse.execute(f"DROP TABLE IF EXISTS {IDS} SYNC")
    scope.warehouse.execute(f"CREATE TABLE {IDS} (customer_id String) ENGINE = MergeTree ORDER BY customer_id")
    scope.warehouse.insert(IDS, ["customer_id"], [(customer_id,) for customer_id in customer_ids])


def stage_known(scope: Scope, marks: list[str], tables: Iterable[str]) -> None:
    """Make erase_ids of the CustomerIDs in these tables whose pseudonym is among marks. Call it under locks.writing."""
    stage_ids(scope, [])
    scope.warehouse.execute(f"DROP TABLE IF EXISTS {MARKS} SYNC")
    scope.warehouse.execute(f"CREATE TABLE {MARKS} (mark String) ENGINE = MergeTree ORDER BY mark")
    scope.warehouse.insert(MARKS, ["mark"], [(mark,) for mark in marks])
    for table in tables if marks else ():
        distinct = f"SELECT DISTINCT customer_id FROM {identifier(table)}"  # noqa: S608 - a table of the schema
        matching_ids = f"SELECT customer_id FROM ({distinct}) WHERE {PSEUDONYM} IN (SELECT mark FROM {MARKS})"  # noqa: S608 - ours
        scope.warehouse.execute(f"INSERT INTO {IDS} {matching_ids}", pseudonym_secret=pseudonym_secret(scope))
    scope.warehouse.execute(f"DROP TABLE {MARKS} SYNC")


def texts_of_staged(scope: Scope) -> PersonalTexts:
    """What identifying attributes say of the persons in erase_ids. Call it under locks.writing."""
    return scrubbing.staged_texts(scope, _identifying(scope, "profiles"))


def hide(scope: Scope, customer_ids: list[str]) -> None:
    """Take what identifies persons out of what is read. Call it under locks.writing."""
    stage_ids(scope, customer_ids)
    scrubbing.keep_texts(scope, _identifying(scope, "profiles"))
    scrubbing.make_known(scope)
    for table in WIDE:
        scope.warehouse.execute(f"UPDATE {table} SET {_cleared(scope, table)} WHERE {ERASED}")  # noqa: S608 - names of columns
    for table in (IDS, scrubbing.KNOWN):
        scope.warehouse.execute(f"DROP TABLE {table} SYNC")


def _cleared(scope: Scope, table: str) -> str:
    """Identifying columns become NULL; of other texts those that identify."""
    marked = _identifying(scope, table)
    sets = [f"{identifier(name)} = NULL" for name in marked]
    kinds = scope.warehouse.columns(table)
    for name, condition in _identifying_texts(scope, table, marked):
        column = identifier(name)
        sets.append(f"{column} = {scrubbing.cleared(condition, column, kinds[name])}")
    return ", ".join(sets)


def _filled(scope: Scope, table: str) -> str:
    """Whether there is anything to clear."""
    marked = _identifying(scope, table)
    filled = [f"{identifier(name)} IS NOT NULL" for name in marked]
    return " OR ".join([*filled, *(condition for _, condition in _identifying_texts(scope, table, marked))])


def _identifying_texts(scope: Scope, table: str, marked: list[str]) -> Iterator[tuple[str, str]]:
    """The other columns that hold texts, and SQL of whether such a text identifies the row's customer."""
    for name in scrubbing.other_texts(scope, table, marked):
        yield name, scrubbing.identifies(scope, f"ifNull({identifier(name)}, '')")


def rewrite(scope: Scope) -> None:
    """Rewrite the tables so that no byte of a removed person's identifying data stays on the disk.

    Runs again safely. Patches and masks of deleted rows are made real, columns and properties are rewritten,
    and the table changes place with a copy that links only to what is current; dropping the former drops
    the rest. Raises Away when the records went away meanwhile, so that others may have written.
    """
    with locks.no_imports(scope), locks.writing(scope):
        stage_known(scope, removed_pseudonyms(scope), ["customers", *PROPERTIED])
        scrubbing.make_known(scope)
        for table in WIDE:
            _clean(scope, table)
        for table in PROPERTIED:
            _scrub(scope, table)
        scope.warehouse.execute(f"DROP TABLE {IDS} SYNC")
        locks.require_writing(scope)
        scrubbing.drop_known(scope)


def _clean(scope: Scope, table: str) -> None:
    warehouse = scope.warehouse
    warehouse.execute(f"ALTER TABLE {table} APPLY PATCHES")
    warehouse.execute(f"ALTER TABLE {table} APPLY DELETED MASK")
    warehouse.execute(
        f"ALTER TABLE {table} UPDATE {_cleared(scope, table)} WHERE {ERASED} AND ({_filled(scope, table)})"
    )
    _leave_behind(scope, table)


def _scrub(scope: Scope, table: str) -> None:
    names = scrubbing.property_names(scope, table, ERASED, hidden_names(scope))
    kept = scrubbing.kept_properties(scrubbing.identifies(scope, "value"))
    where = f"{ERASED} AND length({kept}) != length(properties)"
    if scope.warehouse.value(f"SELECT count() FROM {table} WHERE {where}", **names):  # noqa: S608 - ours
        scope.warehouse.execute(f"ALTER TABLE {table} UPDATE properties = {kept} WHERE {where}", **names)
        _leave_behind(scope, table)


def _leave_behind(scope: Scope, table: str) -> None:
    """Have a table go on in what is current of it, and drop the rest."""
    scope.warehouse.execute(f"DROP TABLE IF EXISTS {BEFORE} SYNC")
    scope.warehouse.execute(f"CREATE TABLE {BEFORE} CLONE AS {table}")
    with locks.replacing(scope, BEFORE):
        scope.warehouse.execute(f"EXCHANGE TABLES {BEFORE} AND {table}")
    scope.warehouse.execute(f"DROP TABLE IF EXISTS {BEFORE} SYNC")
