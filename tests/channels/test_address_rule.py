"""One rule of what is the same address, in Python and in the warehouse; and what a cell's text is mended to."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rapport.access.scope import Scope
from rapport.channels import addresses

quick = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=60)
PIECES = st.sampled_from(
    [
        *"aZ09.@ <>()'\"+-_,;:/?\\\n\t\x00ßÉéİıΣςσ\uff41\uff3a\uff20\uff0e\u3002\u2460\ufb01",
        "e\u0301",
        "\u00a0",
        "\u200b",
        "\ufeff",
        "\u202e",
        "\U0001f600",
        "mailto:",
        "MailTo:",
        "xn--",
        "xn--mller-kva",
        "xn--mller-kva.example",
        "müller.example",
        "example.com",
        "anna",
        "+49",
        "tel:",
        "sms:",
        "0301234567.0",
        "\u2011",
        "\u2212",
        "_",
        "0049",
        "(0)",
        "030 123456",
        "49301234567",
        "&",
        "o'hara",
    ]
)
TEXTS = st.lists(PIECES, max_size=6).map("".join)


def in_warehouse(scope: Scope, texts: list[str]) -> list[tuple[str, bool, bool]]:
    scope.warehouse.execute("CREATE TABLE IF NOT EXISTS asked (n UInt32, text Nullable(String)) ENGINE = Memory")
    scope.warehouse.execute("TRUNCATE TABLE asked")
    scope.warehouse.insert("asked", ["n", "text"], list(enumerate(texts)))
    domains = addresses.decode_domains(scope.warehouse, "asked_domains", "SELECT text FROM asked")
    whole = f"{addresses.key_sql('text', domains)}, {addresses.email_sql('text')}, {addresses.blank_sql('text')}"
    short = ", ".join(
        rule("text", plain=True) for rule in (addresses.key_sql, addresses.email_sql, addresses.blank_sql)
    )
    plain = f"SELECT n, {short} FROM asked WHERE {addresses.plain_sql('text')} ORDER BY n"
    found = scope.warehouse.rows(f"SELECT n, {whole} FROM asked ORDER BY n")
    assert set(scope.warehouse.rows(plain)) <= set(found)
    return [(key, bool(mail), bool(blank)) for _, key, mail, blank in found]


@quick
@given(st.lists(TEXTS, min_size=1, max_size=10))
def test_python_and_warehouse_agree(scope: Scope, texts: list[str]) -> None:
    rules = (addresses.address_key, addresses.is_email_address, addresses.is_blank)
    assert in_warehouse(scope, texts) == [tuple(rule(text) for rule in rules) for text in texts]


SAME = [
    ("family@example.com", "Family@Example.com", " FAMILY@EXAMPLE.COM\u00a0", "<family@example.com>"),
    ("anna@müller.example", "anna@xn--mller-kva.example", "Anna@MU\u0308LLER.EXAMPLE", "<anna@XN--MLLER-KVA.example>"),
    ("jörg@example.com", "JO\u0308RG@example.com", "mailto:jörg@example.com", "jö\u200brg@example.com."),
    ("+4930123456", "0049 30 123456", "+49 (0)30 / 12 34-56", "\uff0b49 30 123456", "4930123456", "49 (0)30 123456"),
    ("a.b@example.com", "\ufeffa.b@example.com", "'a.b@example.com'", '"a.b@example.com"', "mailto:a.b@example.com?x"),
    ("o'hara@example.com", "O'Hara@example.com;"),
    ("a@b.example", "a@b\u3002example", "A@b\uff61example\u3002", "a@b\uff0eexample"),
    ("+49301234567", "tel:+49 30 1234567", "SMS:0049301234567", "+49\u201130\u20111234567", "+49\u201330\u20141234567"),
    ("+49301234567", "'+49301234567", "+ 49 30 1234567", "+49_30_1234567", "+49301234567.0", "whatsapp:+49301234567"),
    ("+49301234567", "49301234567", "49301234567.0", "49 30 1234567", "'49301234567", "tel:49301234567"),
    ("Token-AbC123", " Token-AbC123 "),
]  # fmt: skip


@pytest.mark.parametrize("spellings", SAME, ids=lambda texts: texts[0])
def test_spellings_of_one_address_have_one_key(scope: Scope, spellings: tuple[str, ...]) -> None:
    assert len({key for key, *_ in in_warehouse(scope, list(spellings))}) == 1
    assert len({addresses.address_key(text) for text in spellings}) == 1


@pytest.mark.parametrize(
    "text", ["a@b\u3002example", "a@stra\u1e9ee.example", "a@\u2461.example", "a@MU\u0308LLER\uff61example"]
)
def test_where_a_message_goes_has_the_key_of_what_was_written(text: str) -> None:
    assert addresses.address_key(addresses.recipient(text)) == addresses.address_key(text)


def test_different_addresses_keep_different_keys() -> None:
    texts = [
        "anna@example.com",
        "anna+news@example.com",
        "an.na@example.com",
        "anna@example.org",
        "Token-a",
        "Token-A",
        "0301234567",
    ]
    texts += ["301234567", "+301234567890", "1234567", "+1234567", "1234567890123456", "+1234567890123456"]
    assert len({addresses.address_key(text) for text in texts}) == len(texts)
    assert addresses.address_key(None) == addresses.address_key(" \u00a0") == ""


@pytest.mark.parametrize(
    ("text", "to"),
    [
        ("Anna <anna2@example.com>", "anna2@example.com"),
        ("anna3@example.com.", "anna3@example.com"),
        ("mailto:anna4@example.com", "anna4@example.com"),
        ("o'hara@example.com", "o'hara@example.com"),
        ("ANNA6@EXAMPLE.COM", "ANNA6@EXAMPLE.COM"),
        ("\u00a0 x@example.com\t", "x@example.com"),
        ("jo\u0308rg@example.com", "jörg@example.com"),
    ],
)
def test_what_stands_around_an_address_is_taken_off(text: str, to: str) -> None:
    assert addresses.mended(text) == to
    assert addresses.is_email_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "a@example.com;b@example.com",
        "a@example.com, b@example.com",
        "anna5@example,com",
        "a@example.com\r\nBcc: b@example.com",
        "a b@example.com",
        "a@exa mple.com",
        "@example.com",
        "anna@",
        "anna",
        "a@b@example.com",
        "a@example..com",
        ".a@example.com",
        "a\x00@example.com",
        f"{'a' * 65}@example.com",
        "<a@example.com> <b@example.com>",
        "n/a",
        "",
    ],
)
def test_what_is_not_one_address_is_told_apart(text: str) -> None:
    assert not addresses.is_email_address(text)


@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u00a0", "\u2003", "\u200b\ufeff"])
def test_what_cannot_be_seen_is_no_address(scope: Scope, text: str) -> None:
    assert addresses.is_blank(text) and in_warehouse(scope, [text]) == [("", False, True)]
    assert not addresses.is_blank(text + ".") and not in_warehouse(scope, [text + "."])[0][2]
