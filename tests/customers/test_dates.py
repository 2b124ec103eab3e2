"""Dates of files: the forms that a mapping names, the ISO form, what is refused and why, and changes of clocks."""

import csv
import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest
from emptied import emptied
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.customers import attributes, retyping
from rapport.customers.formats.dates import Dates
from rapport.customers.importing import imports
from rapport.customers.importing.imports import ImportResult
from rapport.errors import Invalid
from rapport.stores import Stores
from rapport.stores.clock import instant_of, instant_sql, wall_sql

TODAY = date(2026, 11, 29)
DAY = 86_400_000_000
ZONES = [
    "Europe/Berlin", "America/Santiago", "Africa/Cairo", "Asia/Beirut", "America/Sao_Paulo", "America/Havana",
    "Australia/Lord_Howe", "Pacific/Apia", "Asia/Tehran", "America/New_York", "Asia/Kolkata", "Antarctica/Troll",
    "Europe/Dublin", "America/Asuncion", "Pacific/Auckland", "UTC",
]  # fmt: skip


@pytest.fixture
def scope(scope: Scope) -> Scope:
    return emptied(scope)


@pytest.fixture
def load(scope: Scope, tmp_path: Path) -> Callable[..., ImportResult]:
    """Imports the text of a file into the tenant."""

    def imported(kind: str, text: str, allow_rejects: bool = False, **mapping: object) -> ImportResult:
        path = tmp_path / f"{kind}-{time.time_ns()}.csv"
        path.write_text(text)
        return imports.import_file(scope, kind, path, mapping, allow_rejects=allow_rejects)

    return imported


def reasons(result: ImportResult) -> list[str]:
    assert result.rejects_path is not None
    with result.rejects_path.open(newline="") as file:
        return [row["reason"] for row in csv.DictReader(file)]


def texts(scope: Scope, sql: str) -> list[tuple[str, ...]]:
    return [tuple(str(value) for value in row) for row in scope.warehouse.rows(sql)]


def test_birthdays_before_1970_and_unpadded_dates(scope: Scope, load: Callable[..., ImportResult]) -> None:
    head = "CustomerID,Registration_Date,Date_Of_Birth\n"
    rows = "B1,02/01/2025,31/12/1969\nB2,02/01/2025,15/06/1958\nB3,02/01/2025,15/06/1985\nB12,2/1/2025,15/6/1985\n"
    assert load("customers", head + rows, date_format="%d/%m/%Y").loaded == 4
    found = scope.warehouse.rows("SELECT customer_id, REGISTRATION_DATE, DATE_OF_BIRTH FROM customers ORDER BY 1")
    day = date(2025, 1, 2)
    assert found == [
        ("B1", day, date(1969, 12, 31)),
        ("B12", day, date(1985, 6, 15)),
        ("B2", day, date(1958, 6, 15)),
        ("B3", day, date(1985, 6, 15)),
    ]


def test_times_with_unpadded_hours(scope: Scope, load: Callable[..., ImportResult]) -> None:
    text = """InvoiceNo,CustomerID,InvoiceDate,Total,Description
536365,17850,12/1/2010 8:26,15.30,WHITE LANTERN
536366,17850,1/9/2011 18:05,22.20,"LANTERN, 2"
C536379,14527,12/1/2010 9:41,-27.50,Discount
"""
    columns = {"InvoiceNo": "Transaction_ID", "InvoiceDate": "Transaction_Date", "Total": "Amount"}
    assert load("transactions", text, date_format="%m/%d/%Y %H:%M", columns=columns).loaded == 3
    assert texts(scope, "SELECT transaction_id, toString(transaction_time) FROM transactions ORDER BY 1") == [
        ("536365", "2010-12-01 08:26:00"),
        ("536366", "2011-01-09 18:05:00"),
        ("C536379", "2010-12-01 09:41:00"),
    ]


def test_the_first_of_several_forms_that_fits_counts(scope: Scope, load: Callable[..., ImportResult]) -> None:
    text = """CustomerID,Registration_Date,Date_Of_Birth,Last_Visit,Since
F1,2025-01-02,15.06.85,2.1.2025 3:04:05 PM,2 January 2025
F2,02.01.2025,1.2.31,2.1.2025 12:00:00 AM,3 January 2025
F3,2 January 2025,31.12.26,,4 January 2025
F4,"2 Jan, 2025",30.11.25,2.1.2025 12:30:00 pm,5 January 2025
"""
    forms = ["%d.%m.%Y", "%Y-%m-%d", "%d %B %Y", "%d %b, %Y", "%d.%m.%y", "%d.%m.%Y %I:%M:%S %p"]
    assert load("customers", text, date_format=forms).loaded == 4
    sql = "SELECT REGISTRATION_DATE, DATE_OF_BIRTH, toString(LAST_VISIT), SINCE FROM customers ORDER BY customer_id"
    assert texts(scope, sql) == [
        ("2025-01-02", "1985-06-15", "2025-01-02 15:04:05", "2025-01-02"),
        ("2025-01-02", "1931-02-01", "2025-01-02 00:00:00", "2025-01-03"),
        ("2025-01-02", "1926-12-31", "None", "2025-01-04"),
        ("2025-01-02", "2025-11-30", "2025-01-02 12:30:00", "2025-01-05"),
    ]
    types = {info.real_field_name: info.field_type for info in attributes.attributes(scope).values()}
    assert (types["LAST_VISIT"], types["SINCE"]) == ("Datetime", "Date")


def test_iso_times_with_an_offset_read_as_the_tenants_clock(scope: Scope, load: Callable[..., ImportResult]) -> None:
    text = """Order_ID,Customer_ID,Order_Date,Amount
1,C,2025-07-01T22:30:00Z,1
2,C,2025-07-01T22:30:00.123456+02:00,1
3,C,2025-07-01T22:30:00,1
4,C,2025-01-01 23:30:00-0530,1
5,C,2025-07-01T22:30,1
6,C,2025-07-01 22:30:00 UTC,1
"""
    assert load("transactions", text).loaded == 6
    assert texts(scope, "SELECT toString(transaction_time) FROM transactions ORDER BY transaction_id") == [
        ("2025-07-02 00:30:00",),
        ("2025-07-01 22:30:00",),
        ("2025-07-01 22:30:00",),
        ("2025-01-02 06:00:00",),
        ("2025-07-01 22:30:00",),
        ("2025-07-02 00:30:00",),
    ]
    people = "CustomerID,Registration_Date\nI1,2025-06-30T22:30:00Z\nI2,2025-06-30T21:30:00Z\n"
    load("customers", people)
    days = scope.warehouse.rows("SELECT REGISTRATION_DATE FROM customers ORDER BY customer_id")
    assert days == [(date(2025, 7, 1),), (date(2025, 6, 30),)]


def test_instants_of_events_by_offset_or_wall_clock(scope: Scope, load: Callable[..., ImportResult]) -> None:
    text = """Event_ID,Event_Name,CustomerID,Event_Date
DST1,visit,R1,2026-03-29 02:30:00
DST2,visit,R1,2025-10-26 02:30:00
DST3,visit,R1,2026-03-29 03:30:00
DST4,visit,R1,2025-10-26 03:00:00
OFF1,visit,R1,2025-10-26T02:30:00.250+01:00
"""
    right = {
        "DST1": "2026-03-29 01:30:00.000",
        "DST2": "2025-10-26 00:30:00.000",
        "DST3": "2026-03-29 01:30:00.000",
        "DST4": "2025-10-26 02:00:00.000",
        "OFF1": "2025-10-26 01:30:00.250",
    }
    assert load("activity", text).loaded == 5
    sql = "SELECT event_id, toString(event_at) FROM activity_events ORDER BY 1"
    assert dict(texts(scope, sql)) == right
    mapped = re.sub(r"(\d{4})-(\d\d)-(\d\d)[ T]", r"\3/\2/\1 ", text)
    load("activity", mapped, date_format=["%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S.%f%z"])
    assert dict(texts(scope, sql)) == right


def test_times_of_transactions_that_the_clocks_skip_move_on(stores: Stores, tmp_path: Path) -> None:
    rows = {
        "Europe/Berlin": [
            ("2026-03-29 02:30:00", "2026-03-29 03:30:00"),
            ("2026-03-29 01:59:59", "2026-03-29 01:59:59"),
            ("2025-10-26 02:30:00", "2025-10-26 02:30:00"),
            ("2026-03-29 02:30:00Z", "2026-03-29 04:30:00"),
        ],
        "Asia/Beirut": [("2024-03-31", "2024-03-31 01:00:00"), ("2024-03-30 23:59:59", "2024-03-30 23:59:59")],
        "Pacific/Apia": [("2011-12-30 10:00:00", "2011-12-31 10:00:00")],
        "UTC": [("2026-03-29 02:30:00", "2026-03-29 02:30:00")],
    }
    for zone, told in rows.items():
        scope = create_tenant(stores, f"gaps {zone} {time.time_ns()}", zone, "EUR")
        path = tmp_path / f"{zone.replace('/', '-')}.csv"
        orders = "".join(f"{n},C,{given},1\n" for n, (given, _) in enumerate(told))
        path.write_text(f"Order_ID,Customer_ID,Order_Date,Amount\n{orders}")
        assert imports.import_file(scope, "transactions", path).loaded == len(told)
        sql = "SELECT toString(transaction_time) FROM transactions ORDER BY transaction_id"
        assert texts(scope, sql) == [(right,) for _, right in told], zone


def test_reasons_name_the_form_that_was_asked_for(load: Callable[..., ImportResult]) -> None:
    text = """Order_ID,Customer_ID,Order_Date,Amount
1,C,2025-02-01,1
2,C,31.02.2025,1
3,C,01.01.1900,1
4,C,45292,1
5,C,1700000000,1
6,C,31.12.1969,1
7,C,01.01.0001,1
8,C,1.2.25,1
"""
    asked = "is not a date as %d.%m.%Y"
    assert reasons(load("transactions", text, date_format="%d.%m.%Y")) == [
        asked,
        asked,
        "is a placeholder date: leave it empty",
        "is the number of a day as spreadsheets keep it: write the column as a date before it is saved",
        "is a number of seconds: write it as yyyy-MM-dd hh:mm:ss",
        "is not between the years 1970 and 2105",
        "is a placeholder date: leave it empty",
        asked,
    ]
    result = load("transactions", text.replace("45292", "1969-12-31"), date_format=["%d.%m.%Y", "%d/%m/%Y"])
    assert reasons(result)[0] == "is not a date as %d.%m.%Y or %d/%m/%Y"
    iso = "Order_ID,Customer_ID,Order_Date,Amount\n1,C,01.02.2025,1\n2,C,1969-12-31,1\n3,C,9999-12-31,1\n"
    assert reasons(load("transactions", iso)) == [
        "is not a time as yyyy-MM-dd hh:mm:ss",
        "is not between the years 1970 and 2105",
        "is a placeholder date: leave it empty",
    ]


def test_days_of_years_that_no_column_holds_are_told_as_such(load: Callable[..., ImportResult]) -> None:
    head = "CustomerID,Registration_Date,Date_Of_Birth\n"
    days = ["1850-01-01", "1899-12-31", "1896-02-29", "2300-01-01", "0000-05-05", "1850-01-01T10:00:00Z"]
    years = "is not between the years 1900 and 2299"
    rows = "".join(f"C{n},2025-01-02,{day}\n" for n, day in enumerate([*days, "1900-01-02", "2299-12-31"]))
    assert reasons(load("customers", head + rows, allow_rejects=True)) == [years] * len(days)
    assert (
        reasons(load("customers", f"{head}C1,2025-01-02,1850-02-29\nC2,2025-01-02,1850-13-01\n"))
        == ["is not a date as yyyy-MM-dd"] * 2
    )
    german = f"{head}C1,2025-01-02,31.12.1899\nC2,2025-01-02,31.11.1899\n"
    assert reasons(load("customers", german, date_formats={"Date_Of_Birth": "%d.%m.%Y"})) == [
        years,
        "is not a date as %d.%m.%Y",
    ]
    orders = "Order_ID,Customer_ID,Order_Date,Amount\nT,C,2025-01-02 10:00:00+24:00,1\n"
    assert reasons(load("transactions", orders)) == ["is not a time as yyyy-MM-dd hh:mm:ss"]
    orders = "Order_ID,Customer_ID,Order_Date,Amount\nT,C,1850-01-01,1\n"
    assert reasons(load("transactions", orders)) == ["is not between the years 1970 and 2105"]


DAYS_THEN = ["2025-03-04 10:00:00", "2025-03-04T23:30:00Z", "2025-03-04 00:00:01", "2025-03-04T00:00:00-05:00"]
SECONDS_THEN = ["2025-03-04 10:00:00.250", "2025-03-04T10:00:00.999999Z", "2025-03-04 10:00:00,001"]


@pytest.mark.parametrize(
    ("first", "good", "bad", "word"),
    [
        ("2025-01-02", ["2025-03-04", "2025-03-04 00:00:00", "2025-03-04T00:00", "2025-03-04T00:00:00.000"], DAYS_THEN,
         "has a time of day"),
        ("2025-01-02 08:00:00", ["2025-03-04 10:00:00", "2025-03-04", "2025-03-04T10:00:00.000Z", "2025-03-04 10:00"],
         SECONDS_THEN, "has parts of a second"),
    ],
)  # fmt: skip
def test_what_comes_later_into_a_new_attribute_loses_no_part_of_a_time(
    load: Callable[..., ImportResult], first: str, good: list[str], bad: list[str], word: str
) -> None:
    head = "CustomerID,Registration_Date,Seen\n"
    load("customers", f"{head}C0,2025-01-02,{first}\n")
    rows = "".join(f'C{n},2025-01-02,"{text}"\n' for n, text in enumerate([*good, *bad]))
    result = load("customers", head + rows, True)
    assert (result.loaded, result.rejected) == (len(good), len(bad))
    assert all(word in reason for reason in reasons(result))


def test_a_type_that_holds_the_time_takes_it(scope: Scope, load: Callable[..., ImportResult]) -> None:
    head = "CustomerID,Registration_Date,Seen\n"
    load("customers", f"{head}C0,2025-01-02,2025-01-02\n")
    retyping.retype(scope, "SEEN", "Datetime")
    load("customers", f"{head}C1,2025-01-02,2025-03-04 10:00:00\n")
    assert texts(scope, "SELECT toString(SEEN) FROM customers ORDER BY customer_id") == [
        ("2025-01-02 00:00:00",),
        ("2025-03-04 10:00:00",),
    ]


def test_so_it_is_with_forms_of_the_mapping_and_not_with_birthdays(
    load: Callable[..., ImportResult],
) -> None:
    head, forms = "CustomerID,Registration_Date,Date_Of_Birth,Seen\n", ["%d.%m.%Y", "%d.%m.%Y %H:%M"]
    load("customers", f"{head}C0,02.01.2025,15.06.1958,03.01.2025\n", date_format=forms)
    rows = "C1,02.01.2025 9:30,15.06.1958 12:00,03.01.2025 0:00\nC2,02.01.2025,,03.01.2025 8:05\n"
    result = load("customers", head + rows, True, date_format=forms)
    assert (result.loaded, reasons(result)[0][:17]) == (1, "has a time of day")


@pytest.mark.parametrize(
    ("date_format", "message"),
    [
        ("%Q", "%Q is not a directive"),
        ("%d.%m", "must name the year, the month and the day"),
        ("%d.%m.%Y %y", "must name the year"),
        (["%d.%m.%Y", "%d %d.%m.%Y"], "%d twice"),
        ("%d.%m.%Y %", "is not a directive"),
    ],
)
def test_forms_that_cannot_be_read(load: Callable[..., ImportResult], date_format: object, message: str) -> None:
    with pytest.raises(Invalid, match=re.escape(message)):
        load("customers", "CustomerID\n1\n", date_format=date_format)


FORMS = [
    "%d/%m/%Y", "%m/%d/%Y %H:%M", "%Y%m%d", "%d.%m.%y", "%d %B %Y", "%b %d, %Y", "%Y-%m-%d %I:%M:%S %p",
    "%d.%m.%Y %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S%z", "%d-%b-%y %H.%M", "%a, %d %b %Y %H:%M:%S", "%A %d %B %Y",
    "%y%m%d", "%Y/%m/%d %I%p", "%d%%%m%%%Y",
]  # fmt: skip
NOISE = "0123456789/.:-+ APMZapmzJanuFebrMchT%"


def written(draw: Random) -> tuple[str, str]:
    """A form, and a text: a date in it with numbers unpadded now and then, or something near."""
    form, moment = draw.choice(FORMS), datetime(1901, 1, 1) + timedelta(microseconds=draw.randrange(398 * 365 * DAY))
    text = moment.replace(tzinfo=UTC).strftime(form.replace("%Y", f"{moment.year:04d}"))
    if draw.random() < 0.5:
        text = re.sub(r"(?<=[/. :-])0(?=\d)|^0(?=\d[/.])", "", text)
    if draw.random() < 0.2:
        place = draw.randrange(len(text) + 1)
        text = text[:place] + "".join(draw.choices(NOISE, k=draw.randrange(9))) + text[place + draw.randrange(4) :]
    return form, text.strip()


def by_python(form: str, text: str) -> str | None:
    try:
        # An offset of hours only, as PostgreSQL writes it, is read, too.
        found = datetime.strptime(re.sub(r"([+-]\d\d)$", r"\g<1>00", text) if form.endswith("%z") else text, form)
    except ValueError:
        return None
    if not 1900 <= found.year <= 2299 or found.date() == date(1900, 1, 1):
        return None
    if found.tzinfo is not None:
        found = found.astimezone(UTC).replace(tzinfo=None)
    return found.strftime("%Y-%m-%d %H:%M:%S.%f")


# Strategies stay small and draw the rest by their seed: threads of the stores use the random module, too.
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_engine_reads_as_strptime_does(stores: Stores, seed: int) -> None:
    draw = Random(seed)
    pairs = [written(draw) for _ in range(100)]
    warehouse = stores.warehouse.database("default")
    for form in FORMS:
        given_texts = [text for one, text in pairs if one == form]
        moment = Dates("UTC", TODAY, (form,)).wall("text")
        sql = f"SELECT toString({moment}) FROM (SELECT arrayJoin({{texts:Array(String)}}) AS text)"
        found = [value for (value,) in warehouse.rows(sql, texts=given_texts)]
        assert found == [by_python(form, text) for text in given_texts], (form, given_texts)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_engine_moves_clocks_as_zoneinfo_does(stores: Stores, seed: int) -> None:
    draw = Random(seed)
    zone = draw.choice(ZONES)
    walls = [datetime(1971, 1, 1) + timedelta(minutes=draw.randrange(55 * 365 * 1440)) for _ in range(50)]
    changes = CHANGES[zone] or walls
    near = [draw.choice(changes) + timedelta(minutes=draw.randrange(-100, 100)) for _ in range(20)]
    check_walls(stores, zone, walls + near)


def check_walls(stores: Stores, zone: str, walls: list[datetime]) -> None:
    texts_ = [f"{wall:%Y-%m-%d %H:%M:%S}" for wall in walls]
    wall = "toDateTime64(text, 3, 'UTC')"
    sql = f"""
        SELECT toUnixTimestamp({instant_sql(wall, zone)}), toUnixTimestamp({wall_sql(wall, zone)})
        FROM (SELECT arrayJoin({{texts:Array(String)}}) AS text)
    """
    found = stores.warehouse.database("default").rows(sql, texts=texts_)
    info = ZoneInfo(zone)
    right = [
        (
            int(instant_of(one, info).timestamp()),
            int(one.replace(tzinfo=UTC).astimezone(info).replace(tzinfo=UTC).timestamp()),
        )
        for one in walls
    ]
    assert found == right


def changes_of(zone: str) -> list[datetime]:
    """The wall-clock times just before each change of a zone's clocks, 1971 to 2026."""
    info, found = ZoneInfo(zone), []
    day = datetime(1971, 1, 1, tzinfo=UTC)
    while day.year < 2027:
        after = day + timedelta(days=1)
        if day.astimezone(info).utcoffset() != after.astimezone(info).utcoffset():
            minutes = (day + timedelta(minutes=step) for step in range(0, 1440, 15))
            offset = day.astimezone(info).utcoffset()
            change = next((one for one in minutes if one.astimezone(info).utcoffset() != offset), after)
            found.append((change - timedelta(seconds=1)).astimezone(info).replace(tzinfo=None))
        day = after
    return found


CHANGES = {zone: changes_of(zone) for zone in ZONES}


@pytest.mark.parametrize("zone", ["America/Santiago", "Africa/Cairo", "Asia/Beirut", "America/Sao_Paulo"])
def test_gaps_and_folds_at_midnight(stores: Stores, zone: str) -> None:
    near = [change + timedelta(minutes=step) for change in CHANGES[zone] for step in (-61, -30, 0, 1, 30, 61, 90)]
    check_walls(stores, zone, near)
