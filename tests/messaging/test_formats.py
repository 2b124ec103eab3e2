"""Numbers, money, dates and times in templates, as readers of a language write them."""

from datetime import date, datetime, time
from decimal import ROUND_HALF_EVEN, Decimal
from zoneinfo import ZoneInfo

import pytest
from babel.numbers import parse_decimal
from hypothesis import given
from hypothesis import strategies as st

from rapport.channels.messages import Content
from rapport.messaging import rendering
from rapport.messaging.models import Template
from rapport.messaging.tags.formats import Formats

NOW = datetime(2026, 3, 7, 15, 4, 5)
OSLO = ZoneInfo("Europe/Oslo")
VALUES = {
    "SPENT": "1234.5000",
    "DEBT": "-7",
    "BDAY": "2026-05-01",
    "SEEN": "2026-05-01 14:30:00",
    "OPENS": "09:05",
    "NAME": "Kim",
    "BLANK": " ",
    "EVENT:AT": "2026-04-30T23:30:00Z",
    "EVENT:TOTAL": "99.9",
    "TRANS:DUE": "03/04/2026",
}


def filled(text: str, language: str, currency: str = "EUR", html: str = "") -> Content:
    template = Template(tenant_id=1, channel_id=504, id=1, name="t", subject=text, html=html, text=text)
    return rendering.render(template, "Q1", VALUES, {"products": ["Hat"]}, NOW, Formats(language, currency, OSLO))


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("[%AS_NUMBER:SPENT%] [%as_number: debt%]", "en", "1,234.5 -7"),
        ("[%AS_NUMBER:SPENT%]", "de", "1.234,5"),
        ("[%AS_NUMBER:SPENT%]", "fr", "1 234,5"),
        ("[%AS_MONEY:SPENT%]", "en", "€1,234.50"),
        ("[%AS_MONEY:SPENT%]", "de", "1.234,50 €"),
        ("[%AS_MONEY:SPENT%]", "de-AT", "€ 1.234,50"),
        ("[%AS_MONEY:EVENT:TOTAL%] [%AS_MONEY:EVENT.total:0%]", "nl", "€ 99,90 € 99,90"),
        ("[%AS_DATE:BDAY%] [%AS_SHORT_DATE:BDAY%]", "en", "May 1, 2026 May 1, 2026"),
        ("[%AS_DATE:BDAY%] [%AS_SHORT_DATE:BDAY%]", "en-GB", "1 May 2026 1 May 2026"),
        ("[%AS_DATE:BDAY%] [%AS_SHORT_DATE:SEEN%]", "de", "1. Mai 2026 01.05.2026"),
        ("[%AS_DATE:TRANS:DUE%]", "es", "4 de marzo de 2026"),
        ("[%AS_TIME:SEEN%] [%AS_TIME:OPENS%]", "en", "2:30 PM 9:05 AM"),
        ("[%AS_TIME:SEEN%] [%AS_TIME:OPENS%]", "sv", "14:30 09:05"),
        ("[%AS_DATE:EVENT:AT%] [%AS_TIME:EVENT:AT%]", "da", "1. maj 2026 01.30"),
        ("[%AS_DATE:CURRENT_DATE%] [%AS_TIME:CURRENT_TIME:HH:mm%]", "it", "7 marzo 2026 15:04"),
        ("[%UPPER:AS_DATE:BDAY%]", "pl", "1 MAJA 2026"),
        # What is no number and no date stays as it is, and a default is the author's.
        ("[%AS_MONEY:NAME%] [%AS_DATE:NAME%] [%AS_TIME:BDAY%]", "de", "Kim Kim 2026-05-01"),
        ("[%AS_MONEY:BLANK:nothing%] [%AS_DATE:NOBODY:1.2%]", "de", "nothing 1.2"),
        # A language that nobody knows is as English; a region that nobody knows as its language.
        ("[%AS_NUMBER:SPENT%] [%AS_DATE:BDAY%]", "xx", "1,234.5 May 1, 2026"),
        ("[%AS_NUMBER:SPENT%]", "de-ZZ", "1.234,5"),
    ],
)
def test_values_are_written_as_readers_of_a_language_do(text: str, language: str, expected: str) -> None:
    assert filled(text, language).text == expected


def test_currencies_have_their_decimals() -> None:
    assert filled("[%AS_MONEY:SPENT%]", "en", "JPY").text == "¥1,234"
    assert filled("[%AS_MONEY:SPENT%]", "en", "USD").text == "$1,234.50"


def test_spaces_that_never_break_are_for_html_only() -> None:
    """One such character makes a text message cost more than twice as much."""
    content = filled("[%AS_MONEY:SPENT%]", "fr", html='<p title="[%AS_MONEY:SPENT%]">[%AS_MONEY:SPENT%]</p>')
    assert content.subject == content.text == "1 234,50 €"
    assert content.html == '<p title="1\u202f234,50\xa0€">1\u202f234,50\xa0€</p>'


@given(
    st.decimals(min_value=Decimal("-1e12"), max_value=Decimal("1e12"), places=4, allow_nan=False),
    st.sampled_from(["en", "de", "de-AT", "fr", "es", "it", "nl", "pt", "pt-BR", "pl", "sv", "da", "ja"]),
)
def test_numbers_are_read_back_as_they_were(number: Decimal, language: str) -> None:
    shown = Formats(language).number(format(number, "f"))
    rounded = number.quantize(Decimal("0.001"), ROUND_HALF_EVEN)
    assert parse_decimal(shown, locale=language.replace("-", "_")) == rounded


@given(st.dates(date(1900, 1, 1), date(2200, 1, 1)), st.times())
def test_dates_of_attributes_and_of_events_are_the_same_days(day: date, at: time) -> None:
    formats, at = Formats("de"), at.replace(microsecond=0)
    written = {f"{day}", f"{day} {at}", f"{day}T{at}", f"{day:%Y/%m/%d}"}
    assert {formats.short_date(text) for text in written} == {f"{day:%d.%m.%Y}"}
    assert {formats.time_of_day(text) for text in (f"{day} {at}", f"{at}")} == {f"{at:%H:%M}"}


@given(st.text(max_size=60))
def test_any_text_stays_or_becomes_a_text(text: str) -> None:
    formats = Formats("fr", "EUR", OSLO)
    forms = (formats.number, formats.money, formats.long_date, formats.short_date, formats.time_of_day)
    assert all(isinstance(form(text), str) for form in forms)
