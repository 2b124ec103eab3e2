"""What is an address: how a cell's text is mended before it is written to, and by which key two texts are the same.

`mended` is where a message goes. `address_key` folds what makes no difference (case, blanks, normal form, punycode,
separators of phone numbers) and `key_sql` is the same rule in the warehouse.
"""

import re
import unicodedata
from typing import Any

import idna

from rapport.channels.plain_addresses import PLAIN_ADDRESS, PLAIN_MAIL
from rapport.stores.warehouse import Database, identifier, literal

BLANK = "\t\n\x0b\x0c\r \x85\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
INVISIBLE = "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
# Patterns read the same by Python and by the engine; `$` is the end of the text.
MENDING = (
    (f"[{INVISIBLE}]+", ""),
    ("[\u3002\uff61]", "."),  # dots between labels of domains, as mail servers take them, too (UTS 46)
    (f"^[{BLANK}]+", ""),
    (f"[{BLANK}.,;]+$", ""),
    ("^[^<>@\r\n]*<([^<>]*)>$", r"\1"),
    (f"^[{BLANK}]+", ""),
    ("^[Mm][Aa][Ii][Ll][Tt][Oo]:([^?]*)([?][^<>]*)?$", r"\1"),
    ("^'([^']*)'$", r"\1"),
    ('^"([^"]*)"$', r"\1"),
    (f"^[{BLANK}]+", ""),
    (f"[{BLANK}.,;]+$", ""),
)
DASHES = "\u2010-\u2015\u2212_-"
PHONE = f"^(?i:(?:tel|sms|callto|whatsapp):)?'?[+]? ?[(]?[0-9][0-9 ()/.{DASHES}]{{4,}}$"
# Digits with a country code before them, without the plus: so many (ITU E.164), and no zero in front.
INTERNATIONAL = "[1-9][0-9]{7,14}"
PHONE_FOLDING = (
    ("^(?i:[a-z]+:)?'?", ""),  # a link's scheme; what spreadsheets put before a text of digits
    ("^([+]?[0-9]{7,})[.]0+$", r"\1"),  # a number that was taken for a float
    ("^[+] ", "+"),
    ("^([+]|00)?([1-9][0-9 /.-]*)[(]0[)]", r"\1\2"),  # the national zero of +49 (0)30
    (f"[ ()/.{DASHES}]+", ""),
    ("^00", "+"),
    (f"^({INTERNATIONAL})$", r"+\1"),
)
# Like PLAIN_MAIL it needs no folding but of case.
PLAIN_PHONE = "^[+][1-9][0-9]{5,}$"
OTHER = f'[^@"(),:;<>\\[\\]\\\\{BLANK}\\x00-\\x1f\\x7f'
EMAIL = f"^{OTHER}.]{OTHER}]{{0,63}}@{OTHER}.]+([.]{OTHER}.]+)*$"
# A cell in which nothing can be seen.
NO_TEXT = f"^[{BLANK}{INVISIBLE}]*$"
PUNYCODE = "xn--"
DOMAIN = "[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
# Octets (RFC 5321, 4.5.3.1).
LONGEST_LOCAL, LONGEST_ADDRESS = 64, 254


def _replaced(pattern: str, by: str, text: str) -> str:
    return re.sub(pattern.replace("$", r"\Z") if pattern.endswith("$") else pattern, by, text)


def _matches(pattern: str, text: str) -> bool:
    return re.match(pattern.removesuffix("$") + r"\Z", text) is not None


def mended(text: str) -> str:
    """An address as it is written to: without what is around it (blanks, a display name, mailto:, a last dot)."""
    if PLAIN_ADDRESS.match(text):
        return text
    for pattern, by in MENDING:
        text = _replaced(pattern, by, text)
    return unicodedata.normalize("NFC", text)


def address_key(text: str | None) -> str:
    """By what two texts are the same address; empty for none. Mail compares ignoring case, phone numbers by digits.

    Of other addresses (tokens, handles) only blanks, normal form and invisible characters make no difference.
    """
    if text and PLAIN_ADDRESS.match(text) and PUNYCODE not in text.lower():
        return text.lower()
    key = unicodedata.normalize("NFKC", text or "")
    for pattern, by in MENDING:
        key = _replaced(pattern, by, key)
    if "@" in key:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", key).lower())
        local, _, domain = folded.rpartition("@")
        return f"{local}@{decoded(domain)}"
    if _matches(PHONE, key):
        for pattern, by in PHONE_FOLDING:
            key = _replaced(pattern, by, key)
    return key


def decoded(domain: str) -> str:
    """A domain with its punycode labels as letters; a label that is none stays as it is."""
    return ".".join(_decoded_label(label) if label.startswith(PUNYCODE) else label for label in domain.split("."))


def _decoded_label(label: str) -> str:
    try:
        letters = label.removeprefix(PUNYCODE).encode("ascii").decode("punycode")
    except (UnicodeError, OverflowError):
        return label
    return unicodedata.normalize("NFKC", letters.lower()) or label


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen, so that it is no address at all."""
    return _matches(NO_TEXT, text)


def is_email_address(text: str) -> bool:
    """Whether a text, mended, can stand as the one recipient of a mail, by the look of it."""
    return _matches(EMAIL, mended(text))


def recipient(text: str) -> str:
    """An address as a mail server takes it: mended, its domain in ASCII (IDNA 2008, mapped by UTS 46).

    A local part in other letters stays, which only servers with SMTPUTF8 take. Raises ValueError for what is none.
    """
    address = mended(text)
    local, _, domain = address.rpartition("@")
    if not _matches(EMAIL, address) or len(local.encode()) > LONGEST_LOCAL:
        raise ValueError("not an e-mail address")
    if not domain.isascii():
        domain = idna.encode(domain, uts46=True).decode("ascii")
    if len(local.encode()) + len(domain) >= LONGEST_ADDRESS or not re.fullmatch(DOMAIN, domain):
        raise ValueError("not an e-mail address")
    return f"{local}@{domain}"


def plain_sql(text: str) -> str:
    """SQL that tells of a text column that may be null whether its key differs by case alone; also true for none."""
    clean = _clean_sql(text)
    mail = f"match({clean}, {literal(PLAIN_MAIL)}) AND {_no_code(clean)}"
    return f"({mail} OR match({clean}, {literal(PLAIN_PHONE)}) OR {clean} = '')"


def key_sql(text: str, domains: str = "", *, plain: bool = False) -> str:
    """SQL of the key of a text column that may be null: address_key.

    domains is what decode_domains gave; plain: every text of the column is, by plain_sql.
    """
    clean = _clean_sql(text)
    if plain:
        return f"lower({clean})"
    digits = f"match({clean}, {literal(f'^{INTERNATIONAL}$')}), concat('+', {clean})"
    return f"multiIf({plain_sql(text)}, lower({clean}), {digits}, {_folded_sql(clean, domains)})"


def blank_sql(text: str, *, plain: bool = False) -> str:
    """SQL that tells of a text column, or null, whether nothing of it can be seen: is_blank.

    plain: every text of the column is, by plain_sql.
    """
    clean = _clean_sql(text)
    return f"{clean} = ''" if plain else f"match({clean}, {literal(NO_TEXT)})"


def email_sql(text: str, *, plain: bool = False) -> str:
    """SQL that tells of a text column whether it can stand as the one recipient of a mail: is_email_address.

    plain: every text of the column is, by plain_sql.
    """
    clean = _clean_sql(text)
    is_plain_mail = f"match({clean}, {literal(PLAIN_MAIL)})"
    return is_plain_mail if plain else f"({is_plain_mail} OR match({_mended_sql(clean)}, {literal(EMAIL)}))"


def _clean_sql(text: str) -> str:
    return f"toValidUTF8(ifNull({text}, ''))"


def decode_domains(warehouse: Database, table: str, texts: str, **parameters: Any) -> str:
    """Put the punycode domains of a SELECT of addresses (column `text`) into a table aside, for key_sql.

    The name of the table, which the caller drops; empty when there are none and no table was made.
    """
    domain = f"splitByChar('@', {_mail_sql(_mended_sql('normalizeUTF8NFKC(text)'))})[-1]"
    clean = f"SELECT toValidUTF8(ifNull(text, '')) AS text FROM ({texts})"  # noqa: S608 - SQL of the caller
    sql = f"SELECT DISTINCT {domain} FROM ({clean}) WHERE NOT ({_no_code('text')})"  # noqa: S608 - ours
    domains = [str(domain) for (domain,) in warehouse.rows(sql, **parameters)]
    if not domains:
        return ""
    name = identifier(table)
    warehouse.execute(f"DROP TABLE IF EXISTS {name}")
    warehouse.execute(f"CREATE TABLE {name} (domain String, plain String) ENGINE = Join(ANY, LEFT, domain)")
    warehouse.insert(table, ["domain", "plain"], [(domain, decoded(domain)) for domain in domains])
    return table


def _no_code(text: str) -> str:
    return f"positionCaseInsensitive({text}, '{PUNYCODE}') = 0"


def _mended_sql(text: str) -> str:
    for pattern, by in MENDING:
        text = f"replaceRegexpAll({text}, {literal(pattern)}, {literal(by)})"
    return text


def _mail_sql(text: str) -> str:
    return f"normalizeUTF8NFKC(lowerUTF8(normalizeUTF8NFKC({text})))"


def _folded_sql(text: str, domains: str) -> str:
    # A function of what is mended, so that the statement has those patterns once: the engine works through each copy.
    mail, phone = _mail_sql("mended"), "mended"
    if domains:
        domain = f"splitByChar('@', {mail})[-1]"
        plain = f"joinGet('{domains}', 'plain', {domain})"
        mail = f"if({plain} = '', {mail}, concat(left({mail}, length({mail}) - length({domain})), {plain}))"
    for pattern, by in PHONE_FOLDING:
        phone = f"replaceRegexpAll({phone}, {literal(pattern)}, {literal(by)})"
    is_phone = f"match(mended, {literal(PHONE)})"
    folded = f"multiIf(position(mended, '@') > 0, {mail}, {is_phone}, {phone}, mended)"
    return f"arrayMap(mended -> {folded}, [{_mended_sql(f'normalizeUTF8NFKC({text})')}])[1]"
