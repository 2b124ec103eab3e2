"""Texts with tags, compiled once to parts, so that writing a million messages is a million joins."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rapport.errors import Invalid
from rapport.messaging.places import Place
from rapport.messaging.tags.addresses import (
    ADDRESSES,
    Write,
    address_part,
    as_is,
    escaped,
    html_writer,
    is_safe,
    whole_address,
    with_plain_spaces,
)
from rapport.messaging.tags.conditions import Condition, read_condition
from rapport.messaging.tags.formats import USUAL_FORMATS, Formats
from rapport.messaging.tags.language import PRODUCTS, Branching, Field, Insertion, Opening
from rapport.messaging.tags.scanning import Tag, TextKind, branches, tags

MAX_FILLED = 4_000_000
# Of a condition that cannot be read.
NEVER = Condition(Field(""), None, lambda value: False)


@dataclass(frozen=True, slots=True)
class Values:
    """What is known when a message is written: texts by key (see language.Field), the names of products, and how its
    reader writes numbers and dates.
    """

    texts: Mapping[str, str]
    products: Sequence[str] = ()
    formats: Formats = USUAL_FORMATS


@dataclass(frozen=True, slots=True)
class Slot:
    """A tag that a value is put in for, with how it is written; the default is not written yet."""

    field: Field
    default: str
    write: Write

    def value(self, values: Values) -> str:
        """What is put in, before it is written."""
        value = values.texts.get(self.field.key)
        if not value or value.isspace():
            return self.default
        return self.field.formed(value, values.formats) if self.field.forms else value

    def text(self, values: Values) -> str:
        """What is put in."""
        return self.write(self.value(values))


@dataclass(frozen=True, slots=True)
class ProductList:
    """The tag of all products, where they make a list."""

    slot: Slot
    listed: Callable[[Iterable[str]], str]

    def text(self, values: Values) -> str:
        """The list, or the default where there are no products."""
        if not values.products:
            return self.slot.write(self.slot.default)
        return self.listed(self.slot.field.formed(name, values.formats) for name in values.products)


@dataclass(frozen=True, slots=True)
class Branch:
    """Parts that are left out unless the condition holds, and no branch before it since the last IF was taken.

    The condition of ELSE is None, which holds always.
    """

    begins: Branching
    condition: Condition | None
    parts: "Parts"

    def holds(self, values: Values) -> bool:
        """Whether the condition holds, whatever was before."""
        return self.condition is None or self.condition.holds(values.texts)


@dataclass(frozen=True, slots=True)
class Address:
    """An address that depends on conditions: what begins it, and whether it is safe, is seen when it is filled."""

    parts: "Parts"

    def text(self, values: Values) -> str:
        """The address; empty when it is not safe. Raises Invalid for one that gets too long, see MAX_FILLED."""
        written, length, begun = [], 0, False
        for part in _chosen(self.parts, values):
            write = address_part if begun else whole_address
            piece = part if isinstance(part, str) else write(part.value(values))
            begun = begun or bool(piece.strip())
            written.append(piece)
            length = _checked(length + len(piece))
        address = "".join(written)
        return address if is_safe(address) else ""


Parts = tuple[str | Slot | ProductList | Address | Branch, ...]


def _chosen(parts: Parts, values: Values) -> Iterator[str | Slot]:
    """The parts of an address whose conditions hold."""
    taken = False
    for part in parts:
        if isinstance(part, Branch):
            taken = taken and part.begins is not Branching.IF
            if not taken and part.holds(values):
                taken = True
                yield from _chosen(part.parts, values)
        elif isinstance(part, str | Slot):
            yield part


def _fill(parts: Parts, values: Values, filled: list[str], length: int = 0) -> int:
    """Add what parts become to what is filled so far; values up to here have this length, and those to the end that."""
    taken = False
    for part in parts:
        if isinstance(part, str):
            filled.append(part)
        elif isinstance(part, Branch):
            taken = taken and part.begins is not Branching.IF
            if not taken and part.holds(values):
                taken = True
                length = _fill(part.parts, values, filled, length)
        else:
            piece = part.text(values)
            filled.append(piece)
            length = _checked(length + len(piece))
    return length


def _checked(length: int) -> int:
    """A length that a message may have. Raises Invalid: a value may be long, and stand in many places."""
    if length > MAX_FILLED:
        raise Invalid(f"The message must not be longer than {MAX_FILLED} characters with its values.")
    return length


class Compiled:
    """A text ready to be filled. HTML is to be defused before. fields are all that it puts in or asks about.

    Tags that begin or end no branch of their own are left out, and so are branches whose condition cannot be read.
    """

    def __init__(self, text: str, kind: TextKind) -> None:
        found_tags = list(tags(text, kind))
        self._parts = _Compiler(text, kind, found_tags).parts(0, len(text), range(len(found_tags)))
        self.fields = frozenset(_fields(found_tags))

    def fill(self, values: Values) -> str:
        """The text with values put in. Raises Invalid for one that gets too long, see MAX_FILLED."""
        filled: list[str] = []
        _fill(self._parts, values, filled)
        return "".join(filled)


def _fields(found_tags: Iterable[Tag]) -> Iterator[Field]:
    """Everything that tags put in or ask about."""
    for tag in found_tags:
        if isinstance(tag.meaning, Insertion):
            yield tag.meaning.field
        elif isinstance(tag.meaning, Opening) and tag.meaning.condition:
            condition = read_condition(tag.meaning.condition)
            if isinstance(condition, Condition):
                yield condition.field


class _Compiler:
    """Makes parts of a text. Ranges of it are those of its tags, by number."""

    def __init__(self, text: str, kind: TextKind, found_tags: Sequence[Tag]) -> None:
        self._text, self._kind, self._tags = text, kind, found_tags
        self._pairs = branches(found_tags)
        control = (tag for tag in found_tags if not isinstance(tag.meaning, Insertion))
        self._in_address = {tag.place for tag in control if tag.place.attribute in ADDRESSES}

    def parts(self, start: int, end: int, numbers: range, inside: Place | None = None) -> Parts:
        """The parts of a range; inside is the address that it lies in, if that depends on conditions."""
        parts: list[str | Slot | ProductList | Address | Branch] = []
        number, in_chain = numbers.start, False
        while number < numbers.stop:
            tag = self._tags[number]
            if tag.place in self._in_address and tag.place != inside:
                after = self._after_place(number, numbers.stop)
                address = self.parts(tag.place.start, tag.place.end, range(number, after), tag.place)
                parts += self._text[start : tag.place.start], Address(address)
                start, number = tag.place.end, after
                continue
            parts.append(self._text[start : tag.start])
            start, number = tag.end, number + 1
            if isinstance(tag.meaning, Insertion):
                parts.append(self._slot(tag, tag.meaning, number - 1))
            elif isinstance(tag.meaning, Opening):
                closing = self._pairs.get(number - 1)
                in_chain = closing is not None and (in_chain or tag.meaning.begins is Branching.IF)
                if closing is not None:
                    content = self.parts(start, self._tags[closing].start, range(number, closing), inside)
                    if in_chain:
                        parts.append(_branch(tag.meaning, content))
                    start, number = self._tags[closing].end, closing + 1
        parts.append(self._text[start:end])
        return tuple(part for part in parts if part)

    def _after_place(self, number: int, stop: int) -> int:
        place = self._tags[number].place
        return next((later for later in range(number, stop) if self._tags[later].place != place), stop)

    def _slot(self, tag: Tag, insertion: Insertion, number: int) -> Slot | ProductList:
        field, default = insertion.field, insertion.default
        if self._kind is not TextKind.HTML:
            slot = Slot(field, default, with_plain_spaces if field.is_of_language else as_is)
            return ProductList(slot, _lines) if field.key == PRODUCTS and self._kind is TextKind.TEXT else slot
        before = self._tags[number - 1] if number else None
        is_first = before is None or before.place is not tag.place
        begins = is_first and not self._text[tag.place.start : tag.start].strip()
        slot = Slot(field, default, html_writer(tag.place, begins=begins))
        return ProductList(slot, _items) if field.key == PRODUCTS and tag.place.is_text else slot


def _branch(opening: Opening, parts: Parts) -> Branch:
    if opening.begins is Branching.ELSE:
        return Branch(opening.begins, None, parts)
    condition = read_condition(opening.condition)
    return Branch(opening.begins, condition if isinstance(condition, Condition) else NEVER, parts)


def _lines(names: Iterable[str]) -> str:
    return "\n" + "".join(f"- {name}\n" for name in names)


def _items(names: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escaped(name)}</li>" for name in names) + "</ul>"
