"""What a word in an attribute of consent means, in Python and as SQL: Yes, No, or nothing for a blank.

The safe side is not to write: a word that is neither is No where Yes permits, and Yes where Yes forbids (blocked,
test). Case, blanks, punctuation, invisible characters and forms of a letter make no difference; numbers count as such.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic import Field
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.access.tenant_settings import TenantSettings, tenant_settings
from rapport.errors import Invalid
from rapport.stores.warehouse import literal

YES, NO = "Yes", "No"
# What the Yes of an attribute says, as attributes are marked.
PERMISSION, BLOCKED = "permission", "blocked"
# Blanks, and what cannot be seen.
GAPS = (
    "[\t-\r \u0085\u00a0\u00ad\u034f\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000"
    "\ufe00-\ufe0f\ufeff]+"
)
NUMBERS = (("^[+-]?0+([.,]0+)?$", "0"), ("^[+]?0*1([.,]0+)?$", "1"))
# Also those below zero as accounts write them: (1) and 1-.
NUMBER = "^[(]?[+-]?[0-9]+([.,][0-9]+)?[)-]?$"
AFFIRMATIVE = [
    "yes",
    "y",
    "true",
    "t",
    "1",
    "on",
    "yeah",
    "yep",
    "ok",
    "okay",
    "accepted",
    "agreed",
    "allow",
    "allowed",
    "granted",
    "given",
    "enabled",
    "active",
    "optin",
    "opted-in",
    "opt-in-confirmed",
    "double-opt-in",
    "subscribe",
    "subscribed",
    "consent",
    "consented",
    "permitted",
    "ja",
    "j",
    "jawohl",
    "wahr",
    "ein",
    "aktiv",
    "eingewilligt",
    "angemeldet",
    "oui",
    "vrai",
    "si",
    "sí",
    "sì",
    "verdadero",
    "vero",
    "sim",
    "verdadeiro",
    "tak",
    "prawda",
    "ano",
    "да",
    "истина",
    "так",
    "ναι",
    "はい",
    "是",
    "是的",
    "نعم",
    "כן",
    "evet",
    "igen",
    "kyllä",
    "네",
    "예",
    "có",
    "ใช่",
    "ya",
    "da",
    "aktivní",
    "zgoda",
]
NEGATIVE = [
    "no",
    "n",
    "false",
    "f",
    "0",
    "off",
    "not",
    "never",
    "none",
    "nope",
    "nein",
    "falsch",
    "aus",
    "non",
    "faux",
    "falso",
    "não",
    "nao",
    "nie",
    "fałsz",
    "ne",
    "нет",
    "ложь",
    "ні",
    "όχι",
    "いいえ",
    "否",
    "不",
    "لا",
    "לא",
    "hayır",
    "nem",
    "ei",
    "nei",
    "nej",
    "nu",
    "nee",
    "hayir",
    "οχι",
    "아니요",
    "아니오",
    "không",
    "tidak",
    "ไม่",
]
# Whoever said this is not to be written to; in an attribute that forbids it says nothing.
WITHDRAWN = [
    "optout",
    "opted-out",
    "opt-out",
    "unsubscribe",
    "unsubscribed",
    "unsub",
    "denied",
    "refused",
    "rejected",
    "declined",
    "withdrawn",
    "revoked",
    "disallow",
    "disallowed",
    "blocked",
    "forbidden",
    "cancelled",
    "canceled",
    "removed",
    "bounced",
    "cleaned",
    "suppressed",
    "stop",
    "stopped",
    "inaktiv",
    "inactive",
    "disabled",
    "abgemeldet",
    "widerrufen",
    "abgelehnt",
    "désabonné",
    "désinscrit",
    "rechazado",
    "rifiutato",
    "recusado",
    "uitgeschreven",
]


def folded(text: str) -> str:
    """A word as it is compared; empty only for a blank, or for punctuation that is no word.

    Other signs stay, and with them it is another word: "\u2260 yes" and "\u274c yes" say no yes.
    """
    bare = re.sub(GAPS, "", unicodedata.normalize("NFKC", text).lower())
    for pattern, number in NUMBERS:
        if _whole(pattern, bare):
            return number
    if _whole(NUMBER, bare):
        return bare
    return "".join(sign for sign in bare if unicodedata.category(sign)[0] in "LNSM")


def _whole(pattern: str, text: str) -> bool:
    return re.match(pattern.removesuffix("$") + r"\Z", text) is not None


def folded_sql(text: str) -> str:
    """SQL of folded, of a text column that may be null."""
    bare = _bare_sql(text)
    numbers = "".join(f"match({bare}, {literal(pattern)}), '{number}', " for pattern, number in NUMBERS)
    letters = f"replaceRegexpAll({bare}, '[^\\\\p{{L}}\\\\p{{N}}\\\\p{{S}}\\\\p{{M}}]+', '')"
    return f"multiIf({numbers}match({bare}, {literal(NUMBER)}), {bare}, {letters})"


def word_sql(text: str) -> str:
    """SQL of a text column as Consent.forbids_among_sql takes its words; empty for null."""
    return f"toValidUTF8(ifNull(toString({text}), ''))"


def _bare_sql(text: str) -> str:
    return f"replaceRegexpAll(lowerUTF8(normalizeUTF8NFKC({word_sql(text)})), {literal(GAPS)}, '')"


def _words(*lists: Iterable[str]) -> frozenset[str]:
    return frozenset(folded(word) for words in lists for word in words)


@dataclass(frozen=True)
class Consent:
    """How one attribute of consent is read. forbids: its Yes says not to write, as blocked and test accounts do.

    blank is what no value at all means to whoever asks whether to write.
    """

    forbids: bool = False
    yes: frozenset[str] = _words(AFFIRMATIVE)
    no: frozenset[str] = _words(NEGATIVE, WITHDRAWN)
    blank: str = YES

    @property
    def _unread(self) -> str:
        return YES if self.forbids else NO

    def read(self, value: Any) -> str | None:
        """Yes, No, or None for a blank; what is neither is whatever forbids."""
        text = "" if value is None else str(value)
        word = folded(text)
        if not re.sub(GAPS, "", text):
            return None
        return YES if word in self.yes else NO if word in self.no else self._unread

    def is_read(self, value: Any) -> bool:
        """Whether a value is a word of the lists, or blank."""
        return value is None or not re.sub(GAPS, "", str(value)) or folded(str(value)) in self.yes | self.no

    def word(self, value: Any) -> str | None:
        """Yes or No of a word of the lists; None for any other value."""
        return self.read(value) if self.is_read(value) else None

    def forbids_writing(self, value: Any) -> bool:
        """Whether nobody is written to with this value."""
        answer = self.read(value)
        return answer == YES if self.forbids else (answer or self.blank) == NO

    def usual_sql(self, text: str) -> str:
        """SQL of read for Yes and No as such; NULL for any other text."""
        return f"if({text} IN ('{YES}', '{NO}'), {text}, NULL)"

    def sql(self, column: str) -> str:
        """SQL of read."""
        word = folded_sql(column)
        plain = f"ifNull(toString({column}), '')"
        return (
            f"multiIf({plain} IN ('{YES}', '{NO}'), {plain}, {_bare_sql(column)} = '', NULL, "
            f"{word} IN ({_listed(self.yes)}), '{YES}', {word} IN ({_listed(self.no)}), '{NO}', '{self._unread}')"
        )

    def unread_sql(self, column: str) -> str:
        """SQL that is true for what is neither yes nor no nor blank."""
        return f"({_bare_sql(column)} != '' AND {folded_sql(column)} NOT IN ({_listed(self.yes | self.no)}))"

    def refusal_sql(self, column: str) -> str:
        """SQL of a column's value where it forbids to write, whatever a blank means; NULL for any other."""
        return f"if(ifNull({self.sql(column)}, '') = '{YES if self.forbids else NO}', {column}, NULL)"

    def forbids_writing_sql(self, column: str) -> str:
        """SQL of forbids_writing."""
        if self.forbids:
            return f"ifNull({self.sql(column)}, '{NO}') = '{YES}'"
        return f"ifNull({self.sql(column)}, '{self.blank}') = '{NO}'"

    def forbids_among_sql(self, column: str, words: Iterable[str]) -> str:
        """SQL of forbids_writing for a column in which only these words occur (see word_sql); any other forbids."""
        permitted = frozenset(word for word in words if not self.forbids_writing(word))
        return f"{word_sql(column)} NOT IN ({_listed(permitted)})" if permitted else "true"


def _listed(words: frozenset[str]) -> str:
    return ", ".join(literal(word) for word in sorted(words))


@dataclass(frozen=True)
class Consents:
    """The two ways of reading of a tenant: of attributes whose Yes permits, and of those whose Yes forbids."""

    permission: Consent = field(default_factory=Consent)
    blocked: Consent = field(default_factory=lambda: Consent(forbids=True, no=_words(NEGATIVE)))

    def of(self, kind: str) -> Consent | None:
        """By the kind of an attribute: permission, blocked, or empty for one that is not about consent."""
        return {PERMISSION: self.permission, BLOCKED: self.blocked}.get(kind)


def kind_of(consent: Consent | None) -> str:
    """How an attribute of consent is marked; empty for any other."""
    return "" if consent is None else BLOCKED if consent.forbids else PERMISSION


class ConsentSettings(TenantSettings):
    """Words beside the usual ones, and what a blank permission means: yes (nobody said no) or no."""

    section = "consent"

    yes: list[str] = Field([], max_length=500)
    no: list[str] = Field([], max_length=500)
    blank: bool = Field(True, description="Whether a customer without a value may be written to")


def consents(scope: Scope) -> Consents:
    """How a tenant's attributes of consent are read: its setting "consent". Raises Invalid for one that cannot be."""
    settings = tenant_settings(scope, ConsentSettings)
    return _consents_with(tuple(settings.yes), tuple(settings.no), settings.blank)


def check_consents(stored: Scope, changed: Scope, session: Session) -> None:
    """Raises Invalid for words that would say both yes and no."""
    consents(changed)


@lru_cache(maxsize=256)
def _consents_with(yes: tuple[str, ...], no: tuple[str, ...], blank: bool) -> Consents:
    own_yes, own_no, usual = _words(yes), _words(no), Consents()
    if own_yes & own_no:
        raise Invalid(f"The tenant setting consent has {min(own_yes & own_no)!r} both in yes and in no.")
    permission = Consent(
        yes=(usual.permission.yes - own_no) | own_yes,
        no=(usual.permission.no - own_yes) | own_no,
        blank=YES if blank else NO,
    )
    blocked = Consent(True, permission.yes, (usual.blocked.no - own_yes) | own_no)
    return Consents(permission, blocked)
