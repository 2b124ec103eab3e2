"""What a word of consent means: one rule in Python and in the warehouse, and its safe side is not to write."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rapport.access.scope import Scope
from rapport.customers.consent import AFFIRMATIVE, NEGATIVE, WITHDRAWN, Consent, Consents, consents, word_sql
from rapport.errors import Invalid
from rapport.stores.warehouse import literal

USUAL = Consents()
PIECES = st.sampled_from(
    [
        *AFFIRMATIVE,
        *NEGATIVE,
        *WITHDRAWN,
        *"YN01-+.,! _/?x\uff2e\uff11",
        "\u00a0",
        "\u200b",
        "\t",
        "e\u0301",
        "✓",
        "\u2260",
        "\u0336",
        "n/a",
        "\x00",
    ]
)
WORDS = st.lists(PIECES, max_size=3).map("".join)


def in_warehouse(scope: Scope, consent: Consent, texts: list[str | None]) -> list[tuple[str | None, bool, bool]]:
    scope.warehouse.execute("CREATE TABLE IF NOT EXISTS words (n UInt32, text Nullable(String)) ENGINE = Memory")
    scope.warehouse.execute("TRUNCATE TABLE words")
    scope.warehouse.insert("words", ["n", "text"], list(enumerate(texts)))
    columns = f"{consent.sql('text')}, NOT {consent.unread_sql('text')}, {consent.forbids_writing_sql('text')}"
    among = {word for (word,) in scope.warehouse.rows(f"SELECT DISTINCT {word_sql('text')} FROM words")}
    columns += f", {consent.forbids_among_sql('text', among)}"
    rows = scope.warehouse.rows(f"SELECT {columns} FROM words ORDER BY n")
    assert [among for *_, among in rows] == [forbidden for _, _, forbidden, _ in rows]
    return [(word, bool(read), bool(forbidden)) for word, read, forbidden, _ in rows]


def test_a_word_that_is_not_among_those_told_forbids(scope: Scope) -> None:
    for consent in (USUAL.permission, USUAL.blocked):
        for word in ("Yes", "No", "perhaps"):
            assert scope.warehouse.value(f"SELECT {consent.forbids_among_sql(literal(word), [''])}") == 1


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=40)
@given(
    st.lists(st.none() | WORDS | st.text(alphabet="aYnoNE01-., \u00a0é", max_size=5), min_size=1, max_size=40),
    st.sampled_from([USUAL.permission, USUAL.blocked, replace(USUAL.permission, blank="No")]),
)
def test_python_and_warehouse_agree(scope: Scope, texts: list[str | None], consent: Consent) -> None:
    expected = [(consent.read(one), consent.is_read(one), consent.forbids_writing(one)) for one in texts]
    assert in_warehouse(scope, consent, texts) == expected


REFUSALS = [
    *("Nein", "opted out", "unsubscribed", "off", "No!", "FALSCH", "n/a", "-1", "0.0", "NO", "  no  ", "Non", "0", "2"),
    *(
        "opt-out",
        "OPT OUT",
        "optout",
        "Opt_Out",
        "N.",
        "maybe",
        "?",
        "null",
        "00",
        "-0",
        "faux",
        "n\u00e3o",
        "na\u0303o",
    ),
    *("\u043d\u0435\u0442", "abgemeldet", "never", "cleaned", "1.5", "11", "yes no", "not subscribed", "\uff2e\uff4f"),
    *("n\u200bo", "\u2717"),
    # Signs that say the contrary, numbers below zero as accounts write them, and more languages.
    *("\u2260 yes", "\u00acyes", "\u274c yes", "yes \u274c", "y\u0336e\u0336s\u0336", "\u2610", "(1)", "1-"),
    *("nee", "HAYIR", "\u039f\u03a7\u0399", "\uc544\ub2c8\uc694", "\u0e44\u0e21\u0e48", "disabled", "inactive"),
]
APPROVALS: list[object] = [
    *(
        "Yes",
        "yes",
        " YES ",
        "true",
        "TRUE",
        "1",
        "1.0",
        "01",
        "+1",
        "y",
        "on",
        "opted in",
        "Opt-In",
        "subscribed",
        "ja",
    ),
    *(
        "oui",
        "si",
        "s\u00ed",
        "yes.",
        "j\u00a0a",
        "vrai",
        "\uff39\uff25\uff33",
        "\u0434\u0430",
        "\u306f\u3044",
        True,
        1,
        1.0,
    ),
]


@pytest.mark.parametrize("text", REFUSALS)
def test_whoever_does_not_say_yes_is_not_written_to(text: str) -> None:
    assert USUAL.permission.read(text) == "No"
    assert USUAL.permission.forbids_writing(text)


@pytest.mark.parametrize("text", APPROVALS)
def test_the_usual_words_of_yes(text: object) -> None:
    assert USUAL.permission.read(text) == "Yes"


@pytest.mark.parametrize(
    "text",
    ["yes", "blocked", "unsubscribed", "opted out", "fraud", "n/a", "2", "?", "Ja", "true", "inactive", "\u274c No"],
)
def test_an_unknown_word_blocks_where_yes_forbids(text: str) -> None:
    assert USUAL.blocked.read(text) == "Yes"
    assert USUAL.blocked.forbids_writing(text)


@pytest.mark.parametrize("text", ["no", "No", "false", "0", "0.0", "nein", "nee", "", "  ", None, "\u00a0"])
def test_whoever_is_not_blocked_may_be_written_to(text: str | None) -> None:
    assert not USUAL.blocked.forbids_writing(text)


def test_blanks_say_nothing_unless_the_tenant_wants_a_yes(scope: Scope) -> None:
    for blank in (None, "", "  ", "\u00a0\u200b"):
        assert USUAL.permission.read(blank) is None
        assert not USUAL.permission.forbids_writing(blank)
        assert replace(USUAL.permission, blank="No").forbids_writing(blank)
    strict = replace(scope, settings={"consent": {"blank": False}})
    assert consents(strict).permission.forbids_writing("") and not consents(strict).blocked.forbids_writing("")


def test_a_tenant_has_words_of_its_own(scope: Scope) -> None:
    own = consents(replace(scope, settings={"consent": {"yes": ["Jepp", "none"], "no": ["OK"]}}))
    assert [own.permission.read(one) for one in ("jepp!", "NONE", "ok", "yes", "no")] == [
        "Yes",
        "Yes",
        "No",
        "Yes",
        "No",
    ]
    with pytest.raises(Invalid, match=r"consent\.yes"):
        consents(replace(scope, settings={"consent": {"yes": "Jepp"}}))
    with pytest.raises(Invalid, match="both in yes and in no"):
        consents(replace(scope, settings={"consent": {"yes": ["Doch"], "no": ["doch!"]}}))
