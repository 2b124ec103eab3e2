"""Words for nobody: the same in Python and in SQL, and no real id among them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rapport.access.scope import Scope
from rapport.customers.identity import (
    BLANK,
    identifies_nobody,
    identifies_nobody_sql,
    says_nothing,
    says_nothing_sql,
)

NOBODY = [
    *("undefined", "null", "None", "NaN", "0", "[object Object]", "", "00000000-0000-0000-0000-000000000000"),
    *(" ", "UNDEFINED", "Null ", "\tnone\n", "nan", "-nan", "0.0", "-0", "[object Null]", "[OBJECT OBJECT]", "(null)"),
    *(
        "<null>",
        '"undefined"',
        "'null'",
        "{}",
        "[]",
        "nil",
        "\u00a0null\u200b",
        "\ufeffundefined",
        "\\N",
        "#N/A",
        "n/a",
    ),
    *("0" * 32, "{00000000-0000-0000-0000-000000000000}", "urn:uuid:00000000-0000-0000-0000-000000000000", "-", "--"),
]
NOBODY += [
    *("{{customer_id}}", "{{ user.id }}", "${user.id}", "#{id}", "%%ID%%", "[%CUSTOMER_ID%]", "*|EMAIL|*", "<%= id %>"),
    *("'{{id}}'", " ${x} ", "(not set)", "NOT SET", "not_set", "N.A.", "n.a", "{{}}"),
]
STRANGERS = ["anonymous", "Guest", "UNKNOWN", "true", "False", "not_authenticated", "NaT"]
SOMEBODY = [
    *("00", "007", "1", "10", "0.5", "-1", "N", "A", "nullable", "Nullmann", "nonesuch", "nano", "undefined1", "C0"),
    *("null@example.com", "none none", "00000000-0000-0000-0000-000000000001", "object", "ÜNDEFINED", "ſome", "nul l"),
    *("{{a}}b", "a${b}", "%%", "50%", "$5", "[a]", "{a}", "*a*", "{{a}", "notset", "na", "<a>b", "a|b", "${a}${b}x"),
    *("0" * 31, "0" * 33, "-1-", "İ", "\x00", "null\x00", "🙂", "a-b", "guest1", "u\u0308ndefined"),
]
PIECES = st.sampled_from(
    [
        "{{",
        "}}",
        "${",
        "%%",
        "[%",
        "%]",
        "*|",
        "|*",
        "<%",
        "%>",
        *NOBODY,
        *STRANGERS,
        *BLANK,
        "'",
        "[",
        "]",
        "{",
        "}",
        "<",
        ">",
        "\\",
        "0",
        ".",
        "-",
        "K",
        "ſ",
        "ı",
        "x",
    ]
)
texts = st.one_of(
    st.lists(PIECES, max_size=4).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)


@pytest.mark.parametrize("text", [*NOBODY, *STRANGERS])
def test_words_for_nobody_identify_nobody(text: str) -> None:
    assert identifies_nobody(text)


@pytest.mark.parametrize("text", SOMEBODY)
def test_other_ids_identify_somebody(text: str) -> None:
    assert not identifies_nobody(text) and not says_nothing(text)


def test_what_a_value_tells() -> None:
    assert all(says_nothing(one) for one in (*NOBODY, 0, 0.0, float("nan"), True, False))
    assert not any(says_nothing(one) for one in (*SOMEBODY, None, "Guest", "Nat", 7))
    assert not any(says_nothing(one, name=True) for one in ("Nan", "Nil", "Null")) and says_nothing("null", name=True)


def in_sql(scope: Scope, some: list[str]) -> list[tuple[bool, ...]]:
    tests = f"{identifies_nobody_sql('text')}, {says_nothing_sql('text')}, {says_nothing_sql('text', name=True)}"
    given = "arrayElement({texts:Array(String)}, n) AS text"
    sql = f"SELECT {tests} FROM (SELECT arrayJoin(range(1, {len(some) + 1})) AS n, {given}) ORDER BY n"
    return [tuple(map(bool, row)) for row in scope.warehouse.rows(sql, texts=some)]


def in_python(some: list[str]) -> list[tuple[bool, ...]]:
    return [(identifies_nobody(one), says_nothing(one), says_nothing(one, name=True)) for one in some]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(some=st.lists(texts, min_size=1, max_size=20))
def test_python_and_sql_agree(scope: Scope, some: list[str]) -> None:
    assert in_sql(scope, some) == in_python(some)


def test_they_agree_on_every_word(scope: Scope) -> None:
    every = [*NOBODY, *STRANGERS, *SOMEBODY, "Nan", "Nil", "Null", "NAN"]
    assert in_sql(scope, every) == in_python(every)
