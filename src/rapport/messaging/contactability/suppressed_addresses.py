"""The addresses of those who must not be written to: whatever record holds one, now or later, gets nothing there.

An address is kept as a mark, a keyed hash of its key, beside the person who said no on a channel (0: any), or an app
or a topic of it; one that was given by itself stands beside itself. The address is kept too, sealed, for lists of who
unsubscribed. Erased persons' marks stay, under their pseudonym and without the address: nobody can read one from them.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from rapport.access import kept
from rapport.access.pseudonyms import pseudonyms
from rapport.access.scope import Scope
from rapport.access.secrets import tenant_secret
from rapport.channels import addresses as channel_addresses
from rapport.channels import service as channels
from rapport.channels.kinds.base import OWN_ID
from rapport.messaging import queries
from rapport.messaging.contactability import rules
from rapport.messaging.contactability.exclusions import EXCLUDED, STANDS
from rapport.messaging.contactability.purposes import ANYTHING, Purpose
from rapport.messaging.models import EVERY_CHANNEL, SuppressedAddress, Undeliverable

# Why somebody gets nothing on a channel, as outcomes tell it; a suppression is told rather than a preference, which
# max() does by the alphabet.
SUPPRESSED, OPTED_OUT_OF_CHANNEL = rules.LISTED.reason, rules.PREFERENCE.reason
NOT_SUBSCRIBED = rules.TOPIC.reason
# The lists that an address leaves when it is let in again.
LET_IN = [SUPPRESSED, *(reason.value for reason in Undeliverable)]
SECRET = "addresses"  # noqa: S105 - the purpose of a secret
# SQL of the mark of a key; binds address_secret.
MARK = "lower(hex(substring(SHA256(concat({{address_secret:String}}, {key})), 1, 16)))"
# The same of a number's digits alone, under which those without a plus were kept once; empty for what is no number.
MARK_OF_DIGITS = f"if(startsWith({{key}}, '+'), {MARK.replace('{key}', 'substring({key}, 2)')}, '')"
MARK_LENGTH = 32
# Beside which an address stands that nobody in particular said no for, followed by its mark.
BY_ITSELF = "address:"
# Keys that name nobody: of erased persons, and of addresses by themselves.
NAMELESS = re.compile(rf"[0-9a-f]{{64}}|{BY_ITSELF}[0-9a-f]+")
# The place of sealed addresses, see stores.records.sealing.
COLUMN = "suppressed_addresses.address"

# In order of the key, so that two callers with the same persons wait for each other and never lock up.
ADD = text("""
    INSERT INTO suppressed_addresses
        (tenant_id, mark, channel_id, app_key, customer_key, listed, added_at, reason, source, address)
    SELECT :tenant_id, mark, :channel_id, :app_key, key, :listed, :at, :reason, :source, nullif(address, '')
    FROM unnest(CAST(:marks AS text[]), CAST(:keys AS text[]), CAST(:addresses AS text[])) AS named (mark, key, address)
    ORDER BY mark, key
    ON CONFLICT (tenant_id, mark, channel_id, app_key, customer_key, listed) DO UPDATE SET address = excluded.address
        WHERE suppressed_addresses.address IS NULL AND excluded.address IS NOT NULL
    RETURNING mark, customer_key, xmax = 0 AS is_new
""")
FORGET_ADDRESSES = text("""
    UPDATE suppressed_addresses SET address = NULL
    WHERE tenant_id = :tenant_id AND mark = ANY(CAST(:marks AS text[])) AND address IS NOT NULL
""")
OF_PERSON = text("SELECT DISTINCT mark FROM suppressed_addresses WHERE tenant_id = :tenant_id AND customer_key = :key")
DROP = text("""
    DELETE FROM suppressed_addresses AS suppressed USING unnest(CAST(:keys AS text[])) AS named (key)
    WHERE suppressed.tenant_id = :tenant_id AND suppressed.channel_id = :channel_id AND suppressed.app_key = :app_key
        AND suppressed.listed = :listed AND suppressed.customer_key = named.key
""")
DROP_SHARED = text("""
    DELETE FROM suppressed_addresses
    WHERE tenant_id = :tenant_id AND channel_id = :channel_id AND app_key = :app_key
        AND listed = ANY(CAST(:lists AS text[]))
        AND (mark = ANY(CAST(:marks AS text[])) OR customer_key = ANY(CAST(:keys AS text[])))
    RETURNING customer_key
""")
# Whether an address of a list gets nothing: those of excluded customers as long as an exclusion of theirs stands.
COUNTS = f"""(listed <> '{EXCLUDED}' OR EXISTS (
        SELECT 1 FROM exclusions
        WHERE exclusions.tenant_id = suppressed_addresses.tenant_id
            AND exclusions.customer_key = suppressed_addresses.customer_key AND {STANDS}
    ))"""  # noqa: S608 - constants only
OF_MARK = text(f"""
    SELECT DISTINCT ON (channel_id, listed) channel_id, listed, added_at, reason, source FROM suppressed_addresses
    WHERE tenant_id = :tenant_id AND mark = ANY(CAST(:marks AS text[])) AND app_key = '' AND {COUNTS}
    ORDER BY channel_id, listed, added_at, customer_key
""")  # noqa: S608 - constants only
ADDED = text("""
    SELECT count(*) FROM suppressed_addresses
    WHERE tenant_id = :tenant_id AND listed = :listed AND starts_with(customer_key, :by_itself)
        AND added_at >= :begin AND added_at < :end
""")
OF_CHANNEL = f"""
    SELECT mark, max(CASE WHEN listed IN ({", ".join(f"'{reason}'" for reason in Undeliverable)})
        THEN '{SUPPRESSED}' ELSE listed END) FROM suppressed_addresses
    WHERE tenant_id = :tenant_id AND channel_id IN ({EVERY_CHANNEL}, :channel_id)
        AND app_key = ANY(CAST(:apps AS text[])) AND {COUNTS}{{more}}
    GROUP BY mark
"""  # noqa: S608 - constants only
AMONG = text(OF_CHANNEL.format(more=" AND mark = ANY(CAST(:marks AS text[]))"))
ALL = text(OF_CHANNEL.format(more=""))


def address_secret(scope: Scope) -> str:
    """What MARK binds."""
    return tenant_secret(scope, SECRET)


def marks_of(scope: Scope, addresses: Iterable[str]) -> list[str]:
    """The marks of addresses, in the same order; empty where there is none."""
    return _marks(scope, map(channel_addresses.address_key, addresses))


def _marks(scope: Scope, keys: Iterable[str]) -> list[str]:
    secret = address_secret(scope)
    return [
        hashlib.sha256((secret + key).encode("utf-8", "replace")).hexdigest()[:MARK_LENGTH] if key else ""
        for key in keys
    ]


def marks_kept_of(scope: Scope, addresses: Iterable[str]) -> list[list[str]]:
    """The marks under which each address may have been kept: a phone number also under that of its digits alone."""
    keys = list(map(channel_addresses.address_key, addresses))
    digits = _marks(scope, (key[1:] if key.startswith("+") else "" for key in keys))
    return [[mark for mark in pair if mark] for pair in zip(_marks(scope, keys), digits, strict=True)]


def address_attributes(scope: Scope, channel_id: int) -> list[str]:
    """The attributes that hold addresses of a channel, or of all of them (channel 0)."""
    used = (channel for channel in channels.channels(scope) if channel_id in (EVERY_CHANNEL, channel.id))
    return sorted({channel.address_attribute for channel in used} - {OWN_ID})


def addresses_of_customer(scope: Scope, customer_id: str) -> list[str]:
    """The addresses, of any channel, that a customer has at present."""
    attributes = address_attributes(scope, EVERY_CHANNEL)
    present = queries.addresses(scope, attributes, [customer_id]) if attributes else []
    return sorted({address for _, address in present})


def keep(
    scope: Scope,
    session: Session,
    channel_and_app: tuple[int, str],
    listed: str,
    customer_ids: Sequence[str],
    marks: Mapping[str, str] | None = None,
    reason: str = "",
    source: str = "",
) -> None:
    """Keep the present addresses of persons who must not be written to at a place (channel, and app or topic).

    listed is the reason as outcomes tell it, reason and source those of a suppression. marks are of addresses, by
    person, that may not be their present ones any more, such as that of the message in which a link was clicked. Runs
    in the caller's transaction.
    """
    attributes = address_attributes(scope, channel_and_app[0])
    customer_addresses = queries.addresses(scope, attributes, customer_ids) if attributes else []
    present_marks = marks_of(scope, [address for _, address in customer_addresses])
    address_of = {
        (mark, person): address
        for mark, (person, address) in zip(present_marks, customer_addresses, strict=True)
        if mark
    }
    reported = ((mark, person.lower()) for person, mark in (marks or {}).items() if mark)
    marked = {key: address_of.get(key, "") for key in sorted({*address_of, *reported})}
    if marked:
        why = {"listed": listed, "reason": reason, "source": source}
        new = _add(scope, session, channel_and_app, why, marked)
        persons = pseudonyms(scope, [person for _, person in new])
        where = {"channel": channel_and_app[0], "app": channel_and_app[1], **why}
        kept.keep_wish(
            scope,
            kept.ADDRESSES,
            where,
            [[added_mark, person] for (added_mark, _), person in zip(new, persons, strict=True)],
        )


def _add(
    scope: Scope,
    session: Session,
    channel_and_app: tuple[int, str],
    why: Mapping[str, str],
    marked: Mapping[tuple[str, str], str],
) -> list[tuple[str, str]]:
    """Add addresses (empty: not known) by mark and the key of who said no; those that are new."""
    values = {"at": scope.clock.now(), **rows_of(scope, marked)}
    rows = session.execute(ADD, {**_list_key(scope, channel_and_app), **why, **values}).all()
    return [(str(mark), str(key)) for mark, key, is_new in rows if is_new]


def rows_of(scope: Scope, marked: Mapping[tuple[str, str], str]) -> dict[str, list[str]]:
    """What ADD binds of addresses (empty: not known) by mark and key."""
    keys = scope.stores.records.keys
    return {
        "marks": [mark for mark, _ in marked],
        "keys": [key for _, key in marked],
        "addresses": [keys.seal(channel_addresses.address_key(address), COLUMN) for address in marked.values()],
    }


def keep_of_erased(
    scope: Scope, session: Session, channel_id: int, person: str, mark: str, reason: str, source: str
) -> None:
    """Keep the address of a message to a person who was erased since, by mark (empty: none), under the pseudonym."""
    if mark:
        why = {"listed": SUPPRESSED, "reason": reason, "source": source}
        new = _add(scope, session, (channel_id, ""), why, {(mark, person): ""})
        where = {"channel": channel_id, "app": "", **why}
        kept.keep_wish(scope, kept.ADDRESSES, where, [[added_mark, key] for added_mark, key in new])


def keep_addresses(
    scope: Scope, session: Session, channel_id: int, addresses: Iterable[str], reason: str, source: str
) -> list[str]:
    """Keep addresses on the suppression list of a channel, whoever has them; the marks of those that are new."""
    listed = list(addresses)
    address_of = {mark: address for mark, address in zip(marks_of(scope, listed), listed, strict=True) if mark}
    marked = {(mark, BY_ITSELF + mark): address_of[mark] for mark in sorted(address_of)}
    why = {"listed": SUPPRESSED, "reason": reason, "source": source}
    new = _add(scope, session, (channel_id, ""), why, marked)
    where = {"channel": channel_id, "app": "", **why}
    kept.keep_wish(scope, kept.ADDRESSES, where, [[mark, key] for mark, key in new])
    return [mark for mark, _ in new]


def keep_marks(scope: Scope, session: Session, channel_id: int, marks: Iterable[str], listed: str) -> int:
    """Keep addresses, given by mark, on a list of a channel that is no wish; how many are new."""
    why = {"listed": listed, "reason": "", "source": ""}
    new = _add(scope, session, (channel_id, ""), why, {(mark, BY_ITSELF + mark): "" for mark in sorted(set(marks))})
    kept.keep_wish(scope, kept.ADDRESSES, {"channel": channel_id, "app": "", **why}, [[mark, key] for mark, key in new])
    return len(new)


def marks_of_person(scope: Scope, customer_id: str) -> list[str]:
    """The marks of the addresses of a person: of those that were kept of it, and the present ones."""
    with scope.stores.records.reading() as connection:
        parameters = {"tenant_id": scope.tenant_id, "key": customer_id.lower()}
        marks = {str(mark) for (mark,) in connection.execute(OF_PERSON, parameters)}
    attributes = address_attributes(scope, EVERY_CHANNEL)
    present = queries.addresses(scope, attributes, [customer_id]) if attributes else []
    kept_marks = marks_kept_of(scope, [address for _, address in present])
    return sorted(marks.union(*kept_marks))


def forget_addresses(scope: Scope, session: Session, marks: Sequence[str]) -> None:
    """Keep no more of addresses than their marks."""
    session.execute(FORGET_ADDRESSES, {"tenant_id": scope.tenant_id, "marks": list(marks)})


def forget_addresses_like(scope: Scope, session: Session, matches: Callable[[str], bool]) -> None:
    """The same of every address of which matches is true."""
    kept_addresses = select(SuppressedAddress.mark, SuppressedAddress.address).where(
        SuppressedAddress.tenant_id == scope.tenant_id, SuppressedAddress.address.is_not(None)
    )
    rows = session.execute(kept_addresses).all()
    if marks := sorted({row.mark for row in rows if matches(row.address or "")}):
        forget_addresses(scope, session, marks)


def added_between(scope: Scope, begin: datetime, end: datetime) -> int:
    """How many addresses were kept by themselves on suppression lists, from one instant to before another."""
    parameters = {
        "tenant_id": scope.tenant_id,
        "listed": SUPPRESSED,
        "by_itself": BY_ITSELF,
        "begin": begin,
        "end": end,
    }
    with scope.stores.records.reading() as connection:
        return int(connection.execute(ADDED, parameters).scalar_one())


@dataclass(frozen=True)
class AddressEntry:
    """Where an address gets nothing: on a channel (0: any), as outcomes tell it, and by the earliest wish of it.

    reason and source are those of a suppression, empty where they are not known.
    """

    channel_id: int
    listed: str
    added_at: datetime
    reason: str
    source: str


def of_address(scope: Scope, address: str) -> list[AddressEntry]:
    """Where an address gets nothing, by channel."""
    marks = marks_kept_of(scope, [address])[0]
    parameters = {"tenant_id": scope.tenant_id, "marks": marks, "now": scope.clock.now()}
    with scope.stores.records.reading() as connection:
        return [AddressEntry(*row) for row in connection.execute(OF_MARK, parameters)]


def _list_key(scope: Scope, channel_and_app: tuple[int, str]) -> dict[str, Any]:
    return {"tenant_id": scope.tenant_id, "channel_id": channel_and_app[0], "app_key": channel_and_app[1]}


def forgo(scope: Scope, session: Session, channel_and_app: tuple[int, str], listed: str, keys: Sequence[str]) -> None:
    """Let the addresses of persons go that were kept of them at a place; what others said of the same ones stays."""
    session.execute(DROP, {**_list_key(scope, channel_and_app), "listed": listed, "keys": list(keys)})


def let_in_at_topic(scope: Scope, session: Session, key: str, customer_ids: Sequence[str]) -> list[str]:
    """Take the addresses of persons who subscribe to a topic off its place; the keys of all whom that lets in."""
    attributes = address_attributes(scope, EVERY_CHANNEL)
    present = queries.addresses(scope, attributes, customer_ids) if attributes else []
    marks = [mark for marks in marks_kept_of(scope, [address for _, address in present]) for mark in marks]
    parameters = {**_list_key(scope, (EVERY_CHANNEL, key)), "lists": [NOT_SUBSCRIBED], "marks": marks}
    own = [*(customer_id.lower() for customer_id in customer_ids), *pseudonyms(scope, customer_ids)]
    gone = {str(key) for (key,) in session.execute(DROP_SHARED, {**parameters, "keys": own})}
    session.execute(DROP, {**parameters, "listed": NOT_SUBSCRIBED, "keys": sorted(gone)})
    return sorted(gone)


def let_in(scope: Scope, session: Session, channel_id: int, customer_id: str, keys: Sequence[str]) -> list[str]:
    """Take the addresses of a person off the suppression list of a channel; the keys of all whom that lets in."""
    present = queries.addresses(scope, address_attributes(scope, channel_id), [customer_id])
    marks = [
        mark for address_marks in marks_kept_of(scope, [address for _, address in present]) for mark in address_marks
    ]
    return let_in_marks(scope, session, channel_id, marks, keys)


def let_in_marks(
    scope: Scope, session: Session, channel_id: int, marks: Sequence[str], keys: Sequence[str] = ()
) -> list[str]:
    """Take addresses, and all of persons by key, off the suppression list of a channel; the keys of all let in."""
    place = _list_key(scope, (channel_id, ""))
    parameters = {**place, "lists": LET_IN, "marks": list(marks), "keys": list(keys)}
    gone = sorted({str(key) for (key,) in session.execute(DROP_SHARED, parameters)})
    session.execute(DROP, {**place, "listed": SUPPRESSED, "keys": gone})
    return gone


def among(scope: Scope, channel_id: int, purpose: Purpose, addresses: Mapping[str, str]) -> dict[str, str]:
    """Why nothing goes to an address on a channel, by person; those who can be written to are absent."""
    marks = dict(zip(addresses, marks_kept_of(scope, addresses.values()), strict=True))
    all_marks = sorted({mark for address_marks in marks.values() for mark in address_marks})
    if not all_marks:
        return {}
    parameters = {
        "tenant_id": scope.tenant_id,
        "channel_id": channel_id,
        "apps": purpose.keys,
        "marks": all_marks,
        "now": scope.clock.now(),
    }
    with scope.stores.records.reading() as connection:
        reason_by_mark = {str(mark): str(reason) for mark, reason in connection.execute(AMONG, parameters)}
    reasons = {
        person: [reason_by_mark[mark] for mark in address_marks if mark in reason_by_mark]
        for person, address_marks in marks.items()
    }
    return {person: max(address_reasons) for person, address_reasons in reasons.items() if address_reasons}


def of_channel(scope: Scope, channel_id: int, purpose: Purpose = ANYTHING) -> dict[str, list[str]]:
    """The marks of all addresses that get nothing on a channel, or of a purpose on it, by the reason."""
    place = {"tenant_id": scope.tenant_id, "channel_id": channel_id, "apps": purpose.keys}
    parameters = {**place, "now": scope.clock.now()}
    marks: dict[str, list[str]] = defaultdict(list)
    with scope.stores.records.reading() as connection:
        for mark, reason in connection.execute(ALL, parameters):
            marks[reason].append(mark)
    return marks
