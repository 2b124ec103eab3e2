"""Templates of before the tag language: what they say stays the same, whatever their placeholders were named like."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import make_url, select, text

from rapport.messaging import rendering
from rapport.messaging.models import Template
from rapport.stores import Stores, migrations
from rapport.stores.records import Records

NOW = datetime(2026, 3, 10, 8, tzinfo=UTC)
ADD = """
    INSERT INTO templates (tenant_id, channel_id, id, name, subject, html, text, created_at, updated_at)
    VALUES (1, 504, :id, 'n', :subject, :html, :text, :now, :now)
"""
# What was stored, what is stored then, and what it says to whoever has no value and to whoever has one.
TEXTS = [
    ("Hi [%FIRST_NAME:you%], [%EVENT.level:0%]", "Hi [%FIRST_NAME:you%], [%EVENT.level:0%]", "Hi you, 0", "Hi Kim, 7"),
    ("[%UPPER:a [b]%]", "[%IF:UPPER%][%UPPER%][%END:IF%][%ELSE%]a [b][%END:IF%]", "a [b]", "kim"),
    ("[% lower :x: y%]!", "[%IF:LOWER%][%LOWER%][%END:IF%][%ELSE%]x: y[%END:IF%]!", "x: y!", "kim!"),
    ("[%EVENT:none%][%UPPER%]", "[%IF:EVENT%][%EVENT%][%END:IF%][%ELSE%]none[%END:IF%][%UPPER%]", "none", "kimkim"),
    ("[%PRODUCTS: 3%]", "[%IF:PRODUCTS%][%PRODUCTS%][%END:IF%][%ELSE%] 3[%END:IF%]", " 3", "\n- Hat\n"),
    ("[%PRODUCTS:our hats%]", "[%PRODUCTS:our hats%]", "our hats", "\n- Hat\n"),
    ("[%TOMORROW_DATE:soon%]", "[%TOMORROW_DATE%]", "2026-03-11", "2026-03-11"),
    ("a[%IF:x%]b[%End%]c", "axbc", "axbc", "axbc"),
]


@pytest.fixture(scope="module")
def migrated(stores: Stores) -> Iterator[Records]:
    with stores.records.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE tags_of_before"))
    url = make_url(stores.records.url).set(database="tags_of_before")
    older = Records(url.render_as_string(hide_password=False))
    migrations.migrate_records(older, "0045")
    with older.session() as session:
        for number, (before, *_) in enumerate(TEXTS):
            html = f'<p>{before}</p><a href="https://shop.example/{before}">a</a>'
            bound = {"id": number, "subject": before, "html": html, "text": before, "now": NOW}
            session.execute(text(ADD), bound)
        long = {"id": 99, "subject": "[%UPPER:x%]" + "s" * 980, "html": "", "text": "", "now": NOW}
        session.execute(text(ADD), long)
    migrations.migrate_records(older)
    yield older
    older.close()


def test_templates_say_what_they_said(migrated: Records) -> None:
    with migrated.session() as session:
        kept = {row.id: row for row in session.scalars(select(Template))}
    known = dict.fromkeys(["UPPER", "LOWER", "EVENT"], "kim") | {"FIRST_NAME": "Kim"}
    for number, (_, after, without, with_values) in enumerate(TEXTS):
        template = kept[number]
        assert (template.subject, template.text) == (after, after)
        assert template.html == f'<p>{after}</p><a href="https://shop.example/{after}">a</a>'
        assert rendering.render(template, "Q1", {}, {}, NOW).text == without
        extra = {"event.level": "7", "products": ["Hat"]}
        assert rendering.render(template, "Q1", {**known}, extra, NOW).text == with_values
    assert kept[99].subject.startswith("[%UPPER:x%]"), "a subject that would be too long stays as it was"
