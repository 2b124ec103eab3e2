"""After a restore: what was erased or said since the backup is applied again, from the journal beside the data."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import text

from rapport.access import kept
from rapport.access.ended import end_again
from rapport.access.pseudonyms import pseudonym_secret, pseudonyms
from rapport.access.scope import Scope, scope_of
from rapport.access.service import tenants
from rapport.customers.privacy import restored
from rapport.messaging.contactability import kept as messaging_kept
from rapport.persons.declared import naming, tables
from rapport.persons.erasing import take_away, take_out
from rapport.realtime.events import credentials
from rapport.stores import Stores
from rapport.stores.backups import journal
from rapport.stores.records.spellings import NOT_ASCII, lower_ascii

# An erasure is noted a moment before it is done: a backup in between holds the person still. What was noted in these
# minutes is applied as well, but is not told as of the time since the backup.
MARGIN, NO_MARGIN = timedelta(minutes=10), timedelta()
MEMBERS: dict[str, type] = {"tenant": int, "key": str, "what": str, "of": list}
# Where the records have CustomerIDs that no table of customers may have.
NAMES = " UNION ALL ".join(
    f"SELECT customer_id AS id FROM {table} WHERE tenant_id = :tenant_id"  # noqa: S608 - tables of ours
    for table in naming()
)
NAMED = f"""
    SELECT DISTINCT id FROM ({NAMES}) AS named
    WHERE id <> '' AND (
        encode(sha256(convert_to(:secret || {lower_ascii("id")}, 'UTF8')), 'hex') = ANY(CAST(:marks AS text[]))
        OR id {NOT_ASCII}
    )
"""  # noqa: S608 - conditions of ours
WISHES: dict[str, Callable[[Scope, dict[str, Any]], None]] = {
    kept.SUPPRESS: messaging_kept.suppress_again,
    kept.ALLOW: messaging_kept.allow_again,
    kept.ADDRESSES: messaging_kept.keep_addresses_again,
    kept.PREFERENCE: messaging_kept.prefer_again,
    kept.TOPIC: messaging_kept.subscribe_again,
    kept.EXCLUDE: messaging_kept.exclude_again,
    kept.LIFT: messaging_kept.lift_again,
    kept.CONSENT: restored.consent_again,
}


@dataclass
class Applied:
    """What was applied of the time since the backup was begun, in persons.

    ended are keys, users and tokens that are refused again, unknown entries of tenants that the backup does not have as
    they are now.
    """

    erased: int = 0
    anonymised: int = 0
    wishes: int = 0
    ended: int = 0
    unknown: int = 0
    journals: list[str] = field(default_factory=list)


def apply(stores: Stores, manifest: dict[str, Any]) -> Applied:
    """Apply what was kept since a backup was begun. May be repeated.

    The disk is cleared by durable work when a server runs. What another place kept is kept here from now on, too.
    """
    places = _places(stores, manifest)
    entries = [entry for folder in places for entry in journal.read(folder) if _is_whole(entry)]
    begun = _taken(manifest, stores.clock.now())
    recent = sorted((entry for entry in entries if _is_since(entry, begun, MARGIN)), key=lambda entry: str(entry["at"]))
    stores.journal.take_over(stores.clock.now(), entries)
    applied = Applied(journals=[str(folder) for folder in places])
    stores.start_work(listening=False)
    scopes = {(tenant.id, kept.tenant_key(scope)): scope for tenant, scope in _tenants(stores)}
    for (tenant_id, key), scope in scopes.items():
        _apply(
            scope, [entry for entry in recent if (entry["tenant"], entry["key"]) == (tenant_id, key)], begun, applied
        )
    later = (entry for entry in recent if _is_since(entry, begun))
    applied.unknown = sum((entry["tenant"], entry["key"]) not in scopes for entry in later)
    return applied


def _places(stores: Stores, manifest: dict[str, Any]) -> list[Path]:
    """Where journals are: beside this data, and where the data was that was backed up."""
    named = [stores.journal.folder, *([Path(manifest["kept"])] if manifest.get("kept") else [])]
    return [folder for folder in dict.fromkeys(named) if any(journal.read(folder))]


def _tenants(stores: Stores) -> Iterator[tuple[Any, Scope]]:
    for tenant in tenants(stores):
        yield tenant, scope_of(stores, tenant.id, actor="restore")


def _taken(manifest: dict[str, Any], now: datetime) -> datetime | None:
    """When a backup was begun; None for one that does not say that, or a time to come."""
    taken_at = manifest.get("taken_at")
    at = datetime.fromisoformat(taken_at) if taken_at else None
    return None if at is None or at > now + MARGIN else at


def _is_since(entry: dict[str, Any], begun: datetime | None, margin: timedelta = NO_MARGIN) -> bool:
    """Whether an entry was made since a backup was begun, or by a margin before; all are where that is not known."""
    return begun is None or _at(entry) >= begun - margin


def _is_whole(entry: dict[str, Any]) -> bool:
    """Whether an entry says when, of which tenant, what and of whom."""
    try:
        dated = _at(entry).tzinfo is not None
    except (KeyError, ValueError, TypeError):
        return False
    return dated and all(isinstance(entry.get(name), kind) for name, kind in MEMBERS.items())


def _at(entry: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(entry["at"])


def _apply(scope: Scope, entries: list[dict[str, Any]], begun: datetime | None, applied: Applied) -> None:
    later = [entry for entry in entries if _is_since(entry, begun)]
    for entry in entries:
        if entry["what"] == kept.END:
            end = {mark: datetime.fromisoformat(at) for mark, at in entry["of"]}
            applied.ended += end_again(scope, end) + credentials.end_again(scope, end)
        if entry["what"] in WISHES:
            WISHES[entry["what"]](scope, entry)
    anonymised = _marks(entries, kept.ANONYMISE)
    if anonymised:
        restored.remove_pii_again(scope, anonymised, partial(take_away, scope))
    erased = _marks(entries, kept.ERASE)
    for customer_id in _named(scope, erased):
        take_out(scope, customer_id)
    if erased:
        restored.remember_erased(scope, erased)
    applied.anonymised += len(_marks(later, kept.ANONYMISE))
    applied.erased += len(_marks(later, kept.ERASE))
    applied.wishes += sum(len(entry["of"]) for entry in later if entry["what"] in WISHES)


def _marks(entries: list[dict[str, Any]], removal: str) -> list[str]:
    return sorted({mark for entry in entries if entry["what"] == removal for mark in entry["of"]})


def _named(scope: Scope, marks: list[str]) -> list[str]:
    """The CustomerIDs, in every spelling, to pseudonyms."""
    if not marks:
        return []
    parameters = {"tenant_id": scope.tenant_id, "secret": pseudonym_secret(scope), "marks": marks}
    with scope.records() as session:
        named = list(session.scalars(text(NAMED), parameters))
    removed = {
        customer_id for customer_id, mark in zip(named, pseudonyms(scope, named), strict=True) if mark in set(marks)
    }
    return sorted({*removed, *restored.ids_of(scope, marks, tables(scope))})
