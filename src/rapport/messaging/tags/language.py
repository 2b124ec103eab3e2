"""What the tags of a template ask for: values, and branches of conditions.

    [%NAME%]  [%NAME:default%]            a customer attribute (case ignored), or one of EXTRAS
    [%PRODUCTS:2%]                        the second recommended product
    [%EVENT:NAME%]  [%EVENT.NAME%]        a parameter of the event that a triggered campaign answers
    [%EVENT:EVENT_NAME:NAME%]             the same, of this event only
    [%REWARD:NAME%] [%REWARD:NAME:default%]  what the customer is given, by the key of the reward type
    [%SNIPPET:NAME%]                      a snippet, which is put in before all else (see composing)
    [%BRAND:LOGO_URL%]                    what is known of the brand (see BRAND_FIELDS)
    [%TRANS:NAME%]                        a value that came with a transactional message
    [%CURRENT_DATE:dd/MM/yyyy%]           the day or the time at which the message is written (see dates)
    [%UPPER:NAME%]                        a value in another form; prefixes can be combined with each other
    [%AS_MONEY:NAME%]                     the same, as readers of the message's language write it (see formats)
    [%IF:...%] [%ELSEIF:...%] [%ELSE%]    the beginning of a branch (see conditions); [%END:IF%] its end

A default stands in for a value that is missing or blank; it runs up to the closing %].
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from rapport.messaging.tags.dates import DATE_TAGS, date_format
from rapport.messaging.tags.formats import Formats

# Values that a sender adds to those of the customer.
EXTRAS = frozenset(
    {
        "CUSTOMER_ID",
        "PROMO_CODE",
        "PRODUCTS",
        "UNSUBSCRIBE_URL",
        "UNSUB",
        "VIEW_IN_BROWSER",
        "PREFERENCE_CENTER",
        "CAMPAIGN_ID",
        "TEMPLATE_ID",
    }
)
ALIASES = {"UNSUB": "UNSUBSCRIBE_URL"}
# Links hold signed texts, which another form would break.
LINKS = frozenset({"UNSUBSCRIBE_URL", "VIEW_IN_BROWSER", "PREFERENCE_CENTER"})
PRODUCTS = "PRODUCTS"
EVENT, TRANSACTIONAL, REWARD, SNIPPET, BRAND = "EVENT:", "TRANS:", "REWARD:", "SNIPPET:", "BRAND:"
# Colours may stand in styles, where no value may: they are put in before a text is compiled.
BRAND_COLORS = frozenset({"COLOR", "TEXT_COLOR"})
BRAND_FIELDS = frozenset({"NAME", "POSTAL_ADDRESS", "LOGO_URL", "WEBSITE_URL"}) | BRAND_COLORS
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
EVENT_NAME = re.compile(r"EVENT[.]([A-Za-z_][A-Za-z0-9_]*)", re.IGNORECASE)
PLACE_OF_PRODUCT = re.compile(r"\s*0*([1-9][0-9]{0,2})\s*(?::(.*))?", re.DOTALL)
CONTROL = re.compile(
    r"\s*(?:(?P<asks>IF|ELSEIF)\s*:(?P<condition>.*)|(?P<otherwise>ELSE)|(?P<ends>END\s*:\s*IF))\s*",
    re.IGNORECASE | re.DOTALL,
)
# Words that begin branches and end them; they name no attribute.
KEYWORDS = frozenset({"IF", "ELSEIF", "ELSE", "END"})


class Form(StrEnum):
    """A formatting prefix."""

    TITLE_CASE = "TITLE_CASE"
    LOWER = "LOWER"
    UPPER = "UPPER"
    NUMBER = "AS_NUMBER"
    MONEY = "AS_MONEY"
    DATE = "AS_DATE"
    SHORT_DATE = "AS_SHORT_DATE"
    TIME = "AS_TIME"

    def of(self, value: str, formats: Formats) -> str:
        """A value in this form."""
        return FORMED[self](value, formats)


# Forms that depend on the language of the message.
OF_LANGUAGE = frozenset({Form.NUMBER, Form.MONEY, Form.DATE, Form.SHORT_DATE, Form.TIME})
PREFIX = re.compile(rf"\s*({'|'.join(Form)})\s*:", re.IGNORECASE)


def _titled(word: re.Match[str]) -> str:
    """A word whose first letter is a capital, and no other."""
    sign = re.match(r"[\W_]*", word[0])
    begins = sign.end() if sign else 0
    return word[0][:begins] + word[0][begins:].capitalize()


FORMED: Mapping[Form, Callable[[str, Formats], str]] = {
    Form.TITLE_CASE: lambda value, _: re.sub(r"[^\s-]+", _titled, value),
    Form.LOWER: lambda value, _: value.lower(),
    Form.UPPER: lambda value, _: value.upper(),
    Form.NUMBER: lambda value, formats: formats.number(value),
    Form.MONEY: lambda value, formats: formats.money(value),
    Form.DATE: lambda value, formats: formats.long_date(value),
    Form.SHORT_DATE: lambda value, formats: formats.short_date(value),
    Form.TIME: lambda value, formats: formats.time_of_day(value),
}


@dataclass(frozen=True)
class Field:
    """What a value is looked up by, and the forms that it gets, the last prefix first.

    wrong_format is a format that does not exist, of a date or a time.
    """

    key: str
    forms: tuple[Form, ...] = ()
    wrong_format: str = ""

    def formed(self, value: str, formats: Formats) -> str:
        """A value in the forms of the field."""
        for form in self.forms:
            value = form.of(value, formats)
        return value

    @property
    def is_of_language(self) -> bool:
        """Whether it is written as readers of the message's language do."""
        return not OF_LANGUAGE.isdisjoint(self.forms)

    @property
    def date_tag(self) -> str:
        """The tag of DATE_TAGS that it is; empty if it is none."""
        name = self.key.partition(":")[0]
        return name if name in DATE_TAGS else ""

    @property
    def is_attribute(self) -> bool:
        """Whether it is looked up by a plain name: an attribute, or one of EXTRAS."""
        return ":" not in self.key


@dataclass(frozen=True)
class Insertion:
    """A tag that a value is put in for."""

    field: Field
    default: str = ""


class Branching(StrEnum):
    """How a branch begins."""

    IF = "IF"
    ELSEIF = "ELSEIF"
    ELSE = "ELSE"


@dataclass(frozen=True)
class Opening:
    """A tag that begins a branch; the condition is as it is written, without inner brackets, and empty of ELSE."""

    begins: Branching
    condition: str = ""


@dataclass(frozen=True)
class Ending:
    """A tag that ends a branch."""


Meaning = Insertion | Opening | Ending


def read(body: str) -> Meaning | None:
    """What a tag asks for, by what stands between its brackets; None for what is no tag."""
    control = CONTROL.fullmatch(body)
    if control is None:
        return _insertion(body)
    if control["ends"]:
        return Ending()
    if control["otherwise"]:
        return Opening(Branching.ELSE)
    condition = control["condition"].replace("[%", " ").replace("%]", " ")
    return Opening(Branching(control["asks"].upper()), condition.strip())


def field_of(text: str) -> Field | None:
    """What a condition asks about; None for a text that names nothing, or that has a default."""
    insertion = _insertion(text)
    return insertion.field if insertion and not insertion.default else None


def _insertion(body: str) -> Insertion | None:
    forms: list[Form] = []
    while prefix := PREFIX.match(body):
        forms.insert(0, Form(prefix[1].upper()))
        body = body[prefix.end() :]
    head, colon, rest = body.partition(":")
    name = head.strip().upper()
    if colon and f"{name}:" in (EVENT, TRANSACTIONAL):
        return _of_path(name, rest, tuple(forms))
    if colon and f"{name}:" == REWARD:
        key, _, default = rest.partition(":")
        return Insertion(Field(f"{REWARD}{key.strip().upper()}", tuple(forms)), default) if key.strip() else None
    if colon and f"{name}:" == SNIPPET:
        snippet = rest.strip().upper()
        return Insertion(Field(f"{SNIPPET}{snippet}", tuple(forms))) if NAME.fullmatch(snippet) else None
    if colon and f"{name}:" == BRAND and (brand_field := rest.partition(":")[0].strip().upper()) in BRAND_FIELDS:
        return Insertion(Field(f"{BRAND}{brand_field}", tuple(forms)), rest.partition(":")[2])
    if name in DATE_TAGS:
        return Insertion(_date_field(name, rest.strip(), tuple(forms)))
    if name == PRODUCTS and (place := PLACE_OF_PRODUCT.fullmatch(rest)):
        return Insertion(Field(f"{PRODUCTS}:{place[1]}", tuple(forms)), place[2] or "")
    if event := EVENT_NAME.fullmatch(name):
        return Insertion(Field(f"{EVENT}{event[1]}", tuple(forms)), rest)
    if name in KEYWORDS or not NAME.fullmatch(name):
        return None
    return Insertion(Field(ALIASES.get(name, name), tuple(forms)), rest)


def _of_path(name: str, rest: str, forms: tuple[Form, ...]) -> Insertion | None:
    parts = [part.strip().upper() for part in rest.split(":")]
    return Insertion(Field(":".join([name, *parts]), forms)) if all(parts) else None


def _date_field(tag: str, written: str, forms: tuple[Form, ...]) -> Field:
    description = DATE_TAGS[tag]
    written = description.usual if written in ("", description.alias) else written
    return Field(f"{tag}:{written}", forms, "" if date_format(tag, written) else written)


def key_of(name: str) -> str:
    """The key of a value that a sender or a sample names: in upper case, of an event with a colon."""
    key = name.upper()
    return f"{EVENT}{key.removeprefix('EVENT.')}" if key.startswith("EVENT.") else key
