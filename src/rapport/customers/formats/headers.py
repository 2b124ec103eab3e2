"""Names of a file's columns: when two are the same name, and which attribute a name is of.

A name in letters, digits and separators of ASCII is the attribute's name in upper case. Any other keeps what it is by
a hash behind its readable part, so that names in any alphabet are attributes of their own, in every file the same.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping

from rapport.customers.attributes import AttributeInfo
from rapport.customers.states import AttributeSource

LONGEST, READABLE = 128, 60
PLAIN = re.compile(r"[A-Za-z0-9 _./:()\[\],;'\"-]*")
# What makes one emoji of several.
JOINER = "\u200d"


def visible_name(name: str) -> str:
    """A name as people see it: without invisible characters, blanks of any kind one space."""
    visible = (character for character in name if unicodedata.category(character) != "Cf" or character == JOINER)
    return " ".join("".join(visible).split())


def same_name(name: str) -> str:
    """The form in which two names are compared: without invisible characters, case, normal form and kind of blanks."""
    return unicodedata.normalize("NFC", visible_name(name).casefold())


def field_name(name: str) -> str:
    """The form in which a name is looked up among the columns of a kind: Customer ID is Customer_ID."""
    return re.sub(r"[\s_-]+", "_", same_name(name))


def column_name(name: str) -> str:
    """The attribute's name for a file's column, the same for names that are the same."""
    normalized = same_name(name)
    if PLAIN.fullmatch(normalized) and len(normalized) <= LONGEST and re.search("[a-z0-9]", normalized):
        return plain_column(normalized)
    letters = unicodedata.normalize("NFKD", normalized)
    readable = re.sub(
        "[^a-z0-9]+", "_", "".join(character for character in letters if not unicodedata.combining(character))
    ).strip("_")
    mark = hashlib.sha256(normalized.encode()).hexdigest()[:8]
    return plain_column(f"{readable[:READABLE] or 'column'}_{mark}")


def attribute_of(attributes_by_name: Mapping[str, AttributeInfo], name: str) -> AttributeInfo | None:
    """The attribute that a file's column is, if there is one; known is by upper-case name.

    Before headers were kept, a name of another alphabet became underscores: such an attribute goes on under its name.
    """
    column, header = column_name(name), same_name(name)
    if info := attributes_by_name.get(column):
        return info
    former = attributes_by_name.get(plain_column(name))
    adopted = former is not None and former.source == AttributeSource.BATCH and former.header in ("", header)
    return former if adopted and re.search("[A-Z0-9]", plain_column(name)) else None


def plain_column(name: str) -> str:
    """A name in upper case, with an underscore for anything but letters and digits."""
    column = re.sub(r"[^A-Za-z0-9_]", "_", name).upper()[:LONGEST]
    return column if re.match(r"[A-Z_]", column) else f"_{column}"


def alias_of(name: str) -> str:
    """The attribute's name for people: as the file has it, or its words when it is one of ASCII."""
    shown = visible_name(name)
    return shown.replace("_", " ").title()[:200] if PLAIN.fullmatch(shown) else shown[:200]
