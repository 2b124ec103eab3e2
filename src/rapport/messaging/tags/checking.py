"""What is wrong with the tags of a text, by block and branch."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from rapport.messaging.tags.addresses import misplaced
from rapport.messaging.tags.conditions import Condition, read_condition
from rapport.messaging.tags.language import EXTRAS, LINKS, TRANSACTIONAL, Branching, Ending, Field, Insertion, Opening
from rapport.messaging.tags.scanning import Tag, TextKind, branches, malformed, tags


@dataclass(frozen=True)
class Problem:
    """What is wrong with a text.

    A block is an IF with its ELSEIFs and ELSE; blocks of a text, and branches of a block, are counted from 0. Both are
    None for what is wrong outside of conditions. condition is the tag without its brackets, details the words of it.
    """

    part: TextKind
    block: int | None
    branch: int | None
    condition: str
    message: str
    details: str = ""

    @property
    def sentence(self) -> str:
        """All of it in one sentence or two."""
        if self.block is None:
            return f"{self.part} contains {self.message}"
        return f"{self.part}, condition block {self.block}, branch {self.branch} ({self.condition}): {self.message}"


@dataclass(frozen=True)
class Rules:
    """What a text may hold: attributes by upper-case name (None: any), tags of transactional messages, and how much."""

    attributes: Collection[str] | None
    transactional: bool
    blocks: int
    branches: int


def problems(text: str, kind: TextKind, rules: Rules) -> list[Problem]:
    """What is wrong with a text: first what is no tag at all, then by position; of HTML see misplacement(), too."""
    of_tags = list(_of_tags(text, kind, rules))
    if piece := malformed(text, kind):
        message = f"{piece!r}, which is not a tag; write [%NAME%] or [%NAME:default%]."
        return [Problem(kind, None, None, "", message, piece), *of_tags]
    return of_tags


def misplacement(page: str) -> list[Problem]:
    """The first tag of HTML that stands where none may, if there is any."""
    place = misplaced(page)
    return [Problem(TextKind.HTML, None, None, "", f"{place}.")] if place else []


def _of_tags(text: str, kind: TextKind, rules: Rules) -> Iterator[Problem]:
    found_tags = list(tags(text, kind))
    pairs = branches(found_tags)
    block, branch, has_if = -1, -1, False
    for number, tag in enumerate(found_tags):
        if isinstance(tag.meaning, Insertion):
            if message := _wrong_insertion(tag.meaning, rules):
                yield Problem(kind, None, None, "", f"{tag.source!r}: {message}", tag.meaning.field.wrong_format)
        elif isinstance(tag.meaning, Opening):
            if tag.meaning.begins is Branching.IF or block < 0:
                block, branch = block + 1, -1
            branch, has_if = branch + 1, has_if or tag.meaning.begins is Branching.IF
            messages = list(_wrong_branch(tag.meaning, (block, branch), rules, has_if=has_if))
            if number not in pairs:
                messages.append((_unclosed(found_tags, number), ""))
            yield from (Problem(kind, block, branch, tag.words, message, details) for message, details in messages)


def _wrong_branch(opening: Opening, place: tuple[int, int], rules: Rules, *, has_if: bool) -> Iterator[tuple[str, str]]:
    """Sentence and details of everything that is wrong with the beginning of a branch."""
    block, branch = place
    if branch == 0 and block >= rules.blocks:
        yield f"The template may have at most {rules.blocks} condition blocks.", str(rules.blocks)
    if branch >= rules.branches:
        yield f"A condition block may have at most {rules.branches} branches.", str(rules.branches)
    if not has_if:
        yield f"{opening.begins} has no IF before it.", ""
    if opening.begins is not Branching.ELSE:
        condition = read_condition(opening.condition)
        if not isinstance(condition, Condition):
            yield condition.message, condition.details
        elif message := _wrong_field(condition.field, rules):
            yield message, condition.field.key


def _unclosed(found_tags: Sequence[Tag], number: int) -> str:
    later = (found_tags[after].meaning for after in range(number + 1, len(found_tags)))
    if isinstance(next((meaning for meaning in later if not isinstance(meaning, Insertion)), None), Ending):
        return "The branch ends in another place of the HTML than it begins: put both tags into text or into one value."
    return "The branch has no closing [%END:IF%] of its own before the next condition."


def _wrong_insertion(insertion: Insertion, rules: Rules) -> str:
    field = insertion.field
    if field.wrong_format:
        return f"the format {field.wrong_format!r} has a token that does not exist."
    if field.forms and field.key in LINKS:
        return "a link cannot be written in another form."
    return _wrong_field(field, rules)


def _wrong_field(field: Field, rules: Rules) -> str:
    """Why a text must not name a value; empty when it may."""
    if field.key.startswith(TRANSACTIONAL) and not rules.transactional:
        return f"[%{field.key}%] is for transactional messages only."
    if not field.is_attribute or rules.attributes is None or field.key in EXTRAS or field.key in rules.attributes:
        return ""
    return f"{field.key!r} is not a customer attribute, nor one of {', '.join(sorted(EXTRAS))}, EVENT:name and dates."
