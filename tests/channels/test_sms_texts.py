"""How long texts are on phones, and what is a phone number: by one rule in Python and in SQL."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from smpplib import gsm

from rapport.access.scope import Scope
from rapport.channels import addresses
from rapport.channels.sms import numbers
from rapport.channels.sms.long_texts import MOST_TEXTS, LongTexts, Part, Sender
from rapport.channels.sms.texts import BASIC, CODES, EXTENSION, Alphabet, outside_gsm, segments_of, size_of
from rapport.stores import Stores

quick = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=60)
PIECES = st.sampled_from(
    [*"0123456789+-()/. \t\u00a0'axTel:", "+49", "0049", "(0)", "tel:", "\uff0b", "\uff11", "\u2011", "1" * 9, "a@b.c"]
)
TEXTS = st.lists(PIECES, max_size=9).map("".join)
LETTERS = st.sampled_from([*"ab {}€[~\\^|]@£Δ\n", "Ł", "\U0001f600", "é", "ç"])


@quick
@given(st.lists(TEXTS, min_size=1, max_size=12))
def test_what_looks_like_a_number_is_told_alike_in_both_languages(scope: Scope, texts: list[str]) -> None:
    scope.warehouse.execute("CREATE TABLE IF NOT EXISTS dialled (n UInt32, text Nullable(String)) ENGINE = Memory")
    scope.warehouse.execute("TRUNCATE TABLE dialled")
    scope.warehouse.insert("dialled", ["n", "text"], list(enumerate(texts)))
    found = scope.warehouse.rows(f"SELECT {numbers.phone_sql('text')} FROM dialled ORDER BY n")
    assert [bool(is_number) for (is_number,) in found] == [numbers.is_phone_number(text) for text in texts]
    plain = addresses.plain_sql("text")
    rows = scope.warehouse.rows(f"SELECT text, {numbers.phone_sql('text', plain=True)} FROM dialled WHERE {plain}")
    assert all(bool(is_number) == numbers.is_phone_number(text) for text, is_number in rows)


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("0171 3920001", "DE", "+491713920001"),
        ("+49 (0)171 39200-01", "", "+491713920001"),
        ("0049 171 3920001", "US", "+491713920001"),
        ("491713920001", "DE", "+491713920001"),
        ("(202) 555-0123", "US", "+12025550123"),
        ("2025550123", "US", "+12025550123"),
        ("tel:+12025550123", "", "+12025550123"),
        ("020 7946 0018", "GB", "+442079460018"),
        ("0171 3920001", "", None),
        ("+49 171 39", "", None),
        ("+999 123456789", "", None),
        ("112", "DE", None),
        ("0171 3920001 0171 3920002", "DE", None),
        ("CALL-ME-NOW", "US", None),
        ("", "DE", None),
    ],
)
def test_numbers_have_one_form(text: str, region: str, number: str | None) -> None:
    if number is None:
        with pytest.raises(ValueError, match="not a phone number"):
            numbers.number_of(text, region)
    else:
        assert numbers.number_of(text, region) == number
        assert numbers.number_of(number, "") == number


def test_a_number_is_known_in_every_spelling_of_its_country() -> None:
    assert numbers.spellings_of("+491713920001", "DE") == ["+491713920001", "01713920001", "1713920001"]
    assert numbers.spellings_of("+491713920001", "US") == ["+491713920001"]
    assert numbers.spellings_of("+12025550123", "US") == ["+12025550123", "2025550123"]
    assert [numbers.market_of(number) for number in ("+491713920001", "+12025550123", "+99912345678")] == [
        "DE",
        "US",
        "",
    ]


# Worked out by hand: characters, alphabet, units, segments.
SIZES = [
    ("a" * 160, Alphabet.GSM, 160, 1),
    ("a" * 161, Alphabet.GSM, 161, 2),
    ("a" * 306, Alphabet.GSM, 306, 2),
    ("a" * 307, Alphabet.GSM, 307, 3),
    ("€" * 80, Alphabet.GSM, 160, 1),
    ("€" * 81, Alphabet.GSM, 162, 2),
    # 153 is odd: 76 euros fit into each of two, and the 153rd septet of each stays empty.
    ("€" * 152, Alphabet.GSM, 304, 2),
    ("€" * 153, Alphabet.GSM, 306, 3),
    ("Ł" * 70, Alphabet.UCS2, 70, 1),
    ("Ł" * 71, Alphabet.UCS2, 71, 2),
    ("\U0001f600" * 35, Alphabet.UCS2, 70, 1),
    # 67 is odd: 33 pairs fit into each.
    ("\U0001f600" * 66, Alphabet.UCS2, 132, 2),
    ("\U0001f600" * 67, Alphabet.UCS2, 134, 3),
    ("`", Alphabet.UCS2, 1, 1),
    ("", Alphabet.GSM, 0, 1),
]


@pytest.mark.parametrize(("text", "alphabet", "units", "segments"), SIZES)
def test_segments_are_counted(text: str, alphabet: Alphabet, units: int, segments: int) -> None:
    size = size_of(text)
    assert (size.alphabet, size.units, size.segments) == (alphabet, units, segments)
    assert len(segments_of(text).parts) == segments


def test_a_text_of_too_many_segments_cannot_be_written() -> None:
    assert len(segments_of("a" * 153 * 255).parts) == 255
    with pytest.raises(ValueError, match="more than 255"):
        segments_of("a" * (153 * 255 + 1))


@quick
@given(st.lists(LETTERS, max_size=500).map("".join))
def test_segments_hold_the_whole_text_and_cut_no_character(text: str) -> None:
    segments = segments_of(text)
    if segments.alphabet is Alphabet.UCS2:
        assert outside_gsm(text)
        assert "".join(part.decode("utf-16-be") for part in segments.parts) == text
        assert all(len(part) <= (140 if len(segments.parts) == 1 else 134) for part in segments.parts)
    else:
        assert b"".join(segments.parts) == gsm.gsm_encode(text)
        assert all(len(part) <= (160 if len(segments.parts) == 1 else 153) for part in segments.parts)
        assert not any(part.endswith(b"\x1b") for part in segments.parts)


def test_the_alphabet_is_that_of_the_standard() -> None:
    assert (len(BASIC), len(set(BASIC)), len(EXTENSION)) == (128, 128, 10)
    # Some places of TS 23.038.
    places = {
        "@": 0x00,
        "$": 0x02,
        "\n": 0x0A,
        "Δ": 0x10,
        "É": 0x1F,
        " ": 0x20,
        "¤": 0x24,
        "¡": 0x40,
        "§": 0x5F,
        "à": 0x7F,
    }
    assert {letter: CODES[letter] for letter in places} == {letter: bytes([code]) for letter, code in places.items()}
    assert CODES["€"] == b"\x1b\x65"


def test_of_texts_that_never_become_whole_the_oldest_is_given_up(stores: Stores) -> None:
    gathered = LongTexts(stores)
    senders = [Sender(1, 493, f"+4917139{number:05d}") for number in range(MOST_TEXTS + 1)]
    for sender in senders:
        assert gathered.joined(sender, Part(b"ST", 7, 2, 1)) is None
    last = Part(b"OP", 7, 2, 2)
    assert gathered.joined(senders[0], last) is None, "its first part is gone"
    assert gathered.joined(senders[-1], last) == b"STOP"
    assert gathered.joined(senders[-1], last) == b"STOP", "the part may come again until the text is recorded"
    gathered.forget(senders[-1], last)
    assert gathered.joined(senders[-1], last) is None
    assert gathered.joined(senders[5], Part(b"STOP")) == b"STOP"
