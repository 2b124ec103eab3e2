"""What stands in the profiles of a day, asked once for all of its runs: it tells which rules their SQL needs in full.

Most columns of consent hold two or three words, and most addresses are folded by their case alone. The statements of a
run that spell every rule out cost more to plan than to carry out, so that a rule which nothing needs is left out.
"""

# ruff: noqa: S608 - statements are put together of constants and checked identifiers

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from rapport.access.scope import Scope
from rapport.channels import addresses as channel_addresses
from rapport.customers import attributes
from rapport.customers import consent as customer_consent
from rapport.customers.attributes import AttributeInfo
from rapport.customers.consent import Consent

# More different words than this are read by SQL.
WORDS = 50
KEPT_SURVEYS = 256
# Parts of updates that are not merged yet are called patches, and are partitions by themselves.
PROFILES_STAND = """
    SELECT count(), toString(sum(cityHash64(hash_of_all_files))) FROM system.parts
    WHERE database = {database:String} AND table = 'profiles' AND active
        AND (partition_id = {day:String} OR startsWith(partition_id, 'patch-') AND endsWith(partition_id, {day:String}))
"""

SHARED = """
    SELECT address FROM (
        SELECT arrayJoin(arrayDistinct(arrayFilter(key -> key != '', [{keys}]))) AS address
        FROM profiles WHERE data_date = {{data_date:Date}}
    ) GROUP BY address HAVING count() > 1 LIMIT 1
"""
T = TypeVar("T")


def profiles_stand(scope: Scope, data_date: date) -> str:
    """A text that changes with the profiles of a data date: parts of the table are never changed, only replaced."""
    return str(scope.warehouse.row(PROFILES_STAND, database=scope.warehouse.name, day=f"{data_date:%Y%m%d}"))


@dataclass(frozen=True)
class Survey:
    """Of attributes by name in capitals.

    words: the texts that occur in those of consent, None for many; plain: those with nothing but plain addresses.
    """

    words: dict[str, frozenset[str] | None]
    plain: frozenset[str]

    def forbids_writing(self, consent: Consent, name: str, column: str) -> str:
        """SQL that tells whether nobody is written to with the value of an attribute, which stands in a column."""
        words = self.words[name.upper()]
        return consent.forbids_writing_sql(column) if words is None else consent.forbids_among_sql(column, words)


_surveys: OrderedDict[tuple[str, ...], Survey] = OrderedDict()
_alone: OrderedDict[tuple[str, ...], bool] = OrderedDict()
_lock = threading.Lock()


def _once(kept: OrderedDict[tuple[str, ...], T], key: tuple[str, ...], ask: Callable[[], T]) -> T:
    """What was found out under a key before, else what is now."""
    with _lock:
        answer = kept.get(key)
    if answer is None:
        answer = ask()
        with _lock:
            kept[key] = answer
            while len(kept) > KEPT_SURVEYS:
                kept.popitem(last=False)
    return answer


def survey(
    scope: Scope, data_date: date, consents: Collection[str], addresses: Collection[str], stand: str | None = None
) -> Survey:
    """The survey of attributes of consent and of addresses in the profiles of a data date.

    stand: what profiles_stand tells now, when the caller has asked.
    """
    consents, addresses = {name.upper() for name in consents}, {name.upper() for name in addresses}
    names = sorted(consents | addresses)
    infos = dict(zip(names, attributes.find(scope, names), strict=True))
    key = (
        *(scope.warehouse.name, data_date.isoformat(), stand or profiles_stand(scope, data_date)),
        *(f"{name in consents}{name in addresses}{attributes.rendered(info)}" for name, info in sorted(infos.items())),
    )
    return _once(_surveys, key, lambda: _asked(scope, data_date, infos, consents, addresses))


def nobody_shares(scope: Scope, data_date: date, addresses: Collection[str], stand: str) -> bool:
    """Whether it is known that no two profiles of a data date have an address in common, be it in two attributes.

    addresses: attributes with plain addresses only. stand: what profiles_stand tells now. Many customers are not asked.
    """
    if not scope.warehouse.has_few_customers:
        return False
    texts = [attributes.rendered(info) for info in attributes.find(scope, sorted(addresses))]
    keys = ", ".join(channel_addresses.key_sql(text, plain=True) for text in texts)
    key = (scope.warehouse.name, data_date.isoformat(), stand, keys)
    return _once(_alone, key, lambda: not scope.warehouse.rows(SHARED.format(keys=keys), data_date=data_date))


def _asked(
    scope: Scope,
    data_date: date,
    infos: dict[str, AttributeInfo],
    consents: Collection[str],
    addresses: Collection[str],
) -> Survey:
    consent_names, address_names = sorted(consents), sorted(addresses)
    columns = [
        f"groupUniqArray({WORDS + 1})({customer_consent.word_sql(attributes.rendered(infos[name]))})"
        for name in consent_names
    ]
    columns += [
        f"countIf(NOT ({channel_addresses.plain_sql(attributes.rendered(infos[name]))}))" for name in address_names
    ]
    if not columns:
        return Survey({}, frozenset())
    sql = f"SELECT {', '.join(columns)} FROM profiles WHERE data_date = {{data_date:Date}}"
    row = scope.warehouse.row(sql, data_date=data_date) or ()
    words = {
        name: frozenset(values) if len(values) <= WORDS else None
        for name, values in zip(consent_names, row, strict=False)
    }
    return Survey(
        words, frozenset(name for name, odd in zip(address_names, row[len(consent_names) :], strict=True) if not odd)
    )
