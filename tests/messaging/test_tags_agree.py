"""A second, simpler evaluator of the tag language, which shares nothing with the first: both say the same."""

import re
from dataclasses import dataclass
from datetime import datetime
from html import escape
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from rapport.messaging import rendering
from rapport.messaging.models import Template

# Of a date: formats as tags have them, and as strptime and strftime do.
DATES = {"yyyy-MM-dd": "%Y-%m-%d", "dd/MM/yyyy": "%d/%m/%Y", "yyyyMMdd": "%Y%m%d", "MMMM": "%B", "dd": "%d"}
TIMES = {"HH:mm": "%H:%M", "hh:mm TT": "%I:%M %p", "HH": "%H"}
OF_ATTRIBUTES = ["%Y-%m-%d", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%m/%d/%Y"]
NAMES = ["A", "B", "C", "EVENT:A", "EVENT:SHOP:B", "TRANS:A"]


@dataclass(frozen=True)
class Ask:
    """A condition: an attribute or a tag of the present, and what it is compared with, if anything."""

    name: str
    operator: str = ""
    literal: str = ""


@dataclass(frozen=True)
class Put:
    """A value, its prefixes and a default."""

    name: str
    forms: tuple[str, ...] = ()
    default: str = ""


@dataclass(frozen=True)
class Choice:
    """A branch: IF, ELSEIF or ELSE."""

    keyword: str
    ask: Ask | None
    content: tuple["str | Put", ...]


Node = str | Put | Choice


def of_tag(name: str, now: datetime) -> tuple[str, str] | None:
    """The text of a tag of the present and its format."""
    tag, _, form = name.partition(":")
    if tag == "CURRENT_DATE":
        return now.strftime(DATES[form]), DATES[form]
    return (now.strftime(TIMES[form]), TIMES[form]) if tag == "CURRENT_TIME" else None


def parsed(text: str, form: str) -> datetime | None:
    try:
        moment = datetime.strptime(text, form)
    except ValueError:
        return None
    return moment if moment.strftime(form).upper() == text.upper() else None


def compared(left: object, operator: str, right: object) -> bool:
    return bool(eval(f"left {operator} right", {}, {"left": left, "right": right}))


def holds(ask: Ask, values: dict[str, str], now: datetime) -> bool:
    present = of_tag(ask.name, now)
    value = present[0] if present else values.get(ask.name, "")
    if not value.strip():
        return ask.operator == "!="
    if not ask.operator:
        return True
    if not ask.literal.startswith("'"):
        if re.fullmatch(r"\s*[+-]?\d+(\.\d+)?\s*", value) is None:
            return ask.operator == "!="
        return compared(float(value), ask.operator, float(ask.literal))
    literal = ask.literal[1:-1]
    for form in [present[1]] if present else OF_ATTRIBUTES:
        moments = parsed(value, form), parsed(literal, form)
        if None not in moments:
            return compared(moments[0], ask.operator, moments[1])
    return compared(value.upper(), ask.operator, literal.upper())


def put(node: str | Put, values: dict[str, str], now: datetime) -> str:
    if isinstance(node, str):
        return node
    present = of_tag(node.name, now)
    value = present[0] if present else values.get(node.name, "")
    if not value.strip():
        return node.default
    for form in reversed(node.forms):
        value = {"UPPER": str.upper, "LOWER": str.lower}[form](value)
    return value


def expected(nodes: list[Node], values: dict[str, str], now: datetime) -> str:
    text, earlier = "", [True]
    for node in nodes:
        if not isinstance(node, Choice):
            text += put(node, values, now)
            continue
        if node.keyword == "IF":
            earlier = []
        shown = not any(earlier) and (node.ask is None or holds(node.ask, values, now))
        earlier.append(shown)
        if shown:
            text += "".join(put(each, values, now) for each in node.content)
    return text


SPACES = st.sampled_from(["", "", "", " ", "\n", " \t"])
WORDS = st.sampled_from(
    ["x", "Kim", "kim", "A m", "2026-03-07", "07-03-2026", "03-25-2026", "10", "9.5", "-1", "é", "ß", " "]
)
TAGS = [f"CURRENT_DATE:{form}" for form in DATES] + [f"CURRENT_TIME:{form}" for form in TIMES]
FORMS = st.lists(st.sampled_from(["UPPER", "LOWER"]), max_size=2).map(tuple)
PUTS = st.builds(Put, st.sampled_from(NAMES[:3]), FORMS, st.sampled_from(["", "you", "a: b"])) | st.builds(
    Put, st.sampled_from(NAMES[3:] + TAGS), FORMS
)
OPERATORS = st.sampled_from(["==", "!=", ">", ">=", "<", "<="])
NUMBERS = st.sampled_from(["0", "9", "10", "9.50", "-1", "+3", "20260307"])
OF_NUMBERS = ["CURRENT_DATE:dd", "CURRENT_DATE:yyyyMMdd", "CURRENT_TIME:HH"]
ASKS = (
    st.builds(Ask, st.sampled_from(NAMES + TAGS))
    | st.builds(Ask, st.sampled_from(NAMES), OPERATORS, WORDS.map("'{}'".format) | NUMBERS)
    | st.builds(Ask, st.sampled_from(OF_NUMBERS), OPERATORS, NUMBERS)
    | st.builds(
        lambda form, operator, at: Ask(f"CURRENT_DATE:{form}", operator, f"'{at.strftime(DATES[form])}'"),
        st.sampled_from(list(DATES)), OPERATORS, st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
    )
    | st.builds(
        lambda form, operator, at: Ask(f"CURRENT_TIME:{form}", operator, f"'{at.strftime(TIMES[form])}'"),
        st.sampled_from(list(TIMES)), OPERATORS, st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
    )
)  # fmt: skip
TEXTS = st.sampled_from(["", "a", " b ", "%", "[", "IF:A", "'"])
CONTENTS = st.lists(TEXTS | PUTS, max_size=3).map(tuple)
BLOCKS = st.builds(
    lambda first, others, last, between: [
        each for choice in [first, *others, *last] for each in (choice, between)
    ],
    st.builds(Choice, st.just("IF"), ASKS, CONTENTS),
    st.lists(st.builds(Choice, st.just("ELSEIF"), ASKS, CONTENTS), max_size=2),
    st.lists(st.builds(Choice, st.just("ELSE"), st.none(), CONTENTS), max_size=1),
    TEXTS,
)  # fmt: skip
NODES = st.lists((TEXTS | PUTS).map(lambda node: [node]) | BLOCKS, max_size=5).map(lambda lists: [*chain(*lists)])
VALUES = st.dictionaries(st.sampled_from(NAMES), WORDS, max_size=len(NAMES))
CLOCK = st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1))


def source(nodes: list[Node] | tuple[str | Put, ...], draw: st.DataObject) -> str:
    """The template of nodes, with spaces and brackets where they may be."""

    def space() -> str:
        return draw.draw(SPACES)

    text = ""
    for node in nodes:
        if isinstance(node, str):
            text += node
        elif isinstance(node, Put):
            prefixes = "".join(f"{form}{space()}:{space()}" for form in node.forms)
            default = f":{node.default}" if node.default else ""
            text += f"[%{space()}{prefixes}{node.name}{'' if default else space()}{default}%]"
        else:
            asked = ""
            if node.ask:
                name = f"[%{node.ask.name}%]" if draw.draw(st.booleans()) else node.ask.name
                asked = f"{space()}:{space()}{name}{space()}{node.ask.operator}{space()}{node.ask.literal}"
            content = source(node.content, draw)
            text += f"[%{space()}{node.keyword}{asked}{space()}%]{content}[%{space()}END{space()}:{space()}IF%]"
    return text


@given(NODES, VALUES, CLOCK, st.data())
def test_both_evaluators_say_the_same(
    nodes: list[Node], values: dict[str, str], now: datetime, data: st.DataObject
) -> None:
    text = source(nodes, data)
    page, says = f"<p>{escape(text)}</p>", expected(nodes, values, now)
    template = Template(tenant_id=1, channel_id=504, id=1, name="t", subject="s", html=page, text=f"{text}.")
    content = rendering.render(template, "Q1", values, {}, now)
    assert (content.text, content.html) == (f"{says}.", f"<p>{escape(says)}</p>"), text
