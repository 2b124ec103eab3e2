"""The tag language: what each tag becomes, which branches are shown, and what is said of tags that are wrong."""

from datetime import datetime

import httpx
import pytest

from rapport.access.scope import Scope
from rapport.messaging import rendering
from rapport.messaging.models import Template
from rapport.messaging.tags import checking
from rapport.messaging.tags.scanning import TextKind

NOW = datetime(2026, 3, 7, 15, 4, 5)  # a Saturday
VALUES = {
    "FIRST_NAME": "Kim",
    "LAST_NAME": "van der BERG-o'neil",
    "EMAIL": "kim@mail.example",
    "BLANK": " \t",
    "ORDERS": "250.0000",
    "NEGATIVE": "-5",
    "LANGUAGE": "englIsh",
    "BDAY": "03/07/2026",
    "SINCE": "2026-03-07",
    "SEEN": "2026-03-07 09:30:00",
    "EVENT:TOTAL": "12.50",
    "EVENT:CART:TOTAL": "12.50",
    "EVENT:A:B:C": "deep",
    "TRANS:LAST_NAME": "smith",
    "TRANS:AGE": "57",
    "X": "1",
    "NAME": "A M",
}


def template(text: str) -> Template:
    return Template(tenant_id=1, channel_id=504, id=1, name="t", subject=text, html="", text=text or " ")


def written(text: str, now: datetime = NOW, **values: str) -> str:
    """A text with the values above and these."""
    extra = {
        "unsubscribe_url": "https://x.example/u",
        "view_in_browser": "https://x.example/v",
        "preference_center": "https://x.example/p",
        "promo_code": "SPRING",
        "products": ["Hat", {"name": "red coat"}],
    }
    return rendering.render(template(text), "Q1", {**VALUES, **values}, extra, now).text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[%FIRST_NAME%] [%first_name%] [%\nFIRST_NAME %]", "Kim Kim Kim"),
        ("[%NICKNAME%]|[%NICKNAME:dear friend%]|[%BLANK: a:b %]", "|dear friend| a:b "),
        ("[%EVENT:TOTAL%] [%event:cart:total%] [%EVENT: A : b:C%] [%EVENT.total:0%]", "12.50 12.50 deep 12.50"),
        ("[%EVENT:OTHER:TOTAL%]|[%EVENT.other:0%]", "|0"),
        ("[%TRANS:LAST_NAME%] [%UPPER:TRANS:LAST_NAME%] [%TRANS:ORDER%]", "smith SMITH "),
        ("[%TITLE_CASE:LAST_NAME%]", "Van Der Berg-O'neil"),
        ("[%LOWER:LAST_NAME%] [%upper:last_name%]", "van der berg-o'neil VAN DER BERG-O'NEIL"),
        ("[%LOWER:TITLE_CASE:FIRST_NAME%] [%TITLE_CASE : LOWER:EMAIL%]", "kim Kim@mail.example"),
        ("[%UPPER:NICKNAME:dear friend%]", "dear friend"),
        ("[%UNSUB%] [%UNSUBSCRIBE_URL%]", "https://x.example/u https://x.example/u"),
        ("[%VIEW_IN_BROWSER%] [%PREFERENCE_CENTER%]", "https://x.example/v https://x.example/p"),
        ("[%PROMO_CODE%] [%CUSTOMER_ID%]", "SPRING Q1"),
        ("[%PRODUCTS:1%], [%TITLE_CASE:PRODUCTS:2%], [%PRODUCTS:3:nothing%]", "Hat, Red Coat, nothing"),
        ("[%UPPER:PRODUCTS%]", "\n- HAT\n- RED COAT\n"),
        ("[%CURRENT_DATE%] [%CURRENT_DATE:DATE_FORMAT%] [%TOMORROW_DATE%]", "2026-03-07 2026-03-07 2026-03-08"),
        ("[%CURRENT_TIME%] [%CURRENT_TIME:TIME_FORMAT%]", "03:04 PM 03:04 PM"),
        ("[%CURRENT_DATE:dd/MM/yyyy%] [%TOMORROW_DATE:MM.dd.yyyy%]", "07/03/2026 03.08.2026"),
        ("[%CURRENT_DATE:yyyyMMdd%] [%CURRENT_DATE:MMMddyyyy%]", "20260307 Mar072026"),
        ("[%CURRENT_DATE:dddd dd MMMM yyyy%] [%UPPER:TOMORROW_DATE:dddd%]", "Saturday 07 March 2026 SUNDAY"),
        ("[%CURRENT_TIME:HH:mm:ss%] [%CURRENT_TIME:hh-mm tt%] [%CURRENT_TIME:TT%]", "15:04:05 03-04 pm PM"),
        ("[%CURRENT_DATE :  dd %]", "07"),
    ],
)
def test_what_tags_become(text: str, expected: str) -> None:
    assert written(text) == expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ((0, 5), "00 12:05 am AM"),
        ((11, 59), "11 11:59 am AM"),
        ((12, 0), "12 12:00 pm PM"),
        ((23, 0), "23 11:00 pm PM"),
    ],
)
def test_the_hours_of_a_clock(at: tuple[int, int], expected: str) -> None:
    now = datetime(2026, 12, 31, *at)
    assert written("[%CURRENT_TIME:HH%] [%CURRENT_TIME:hh:mm tt%] [%CURRENT_TIME:TT%]", now) == expected
    assert written("[%TOMORROW_DATE:yyyy-MM-dd%]", now) == "2027-01-01"


ORDERS = "[%IF:ORDERS>200%]many[%END:IF%][%ELSEIF:ORDERS>100%]more[%END:IF%][%ELSE%]few[%END:IF%]"
SPREAD = """[%IF:       LANGUAGE
==     'English'   %]E[%END:IF%][%ELSEIF:
LANGUAGE\t\t!=

  'Italian'   %]O[%END:IF%][%    ELSE \n\t%]I[% END  \t :  \nIF   %]"""


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        (ORDERS, {"ORDERS": "250"}, "many"),
        (ORDERS, {"ORDERS": "200.0000"}, "more"),
        (ORDERS, {"ORDERS": "-5"}, "few"),
        (ORDERS, {"ORDERS": ""}, "few"),
        (ORDERS, {"ORDERS": "plenty"}, "few"),
        ("A[%IF:X==1%]B[%END:IF%]C[%ELSE%]D[%END:IF%]E", {}, "ABCE"),
        ("A[%IF:X==1%]B[%END:IF%]C[%ELSE%]D[%END:IF%]E", {"X": "2"}, "ACDE"),
        ("[%IF:X==1%]a[%END:IF%] [%IF:X==2%]b[%END:IF%] [%ELSE%]c[%END:IF%]", {}, "a  c"),
        ("[%IF:X<=1%]a[%END:IF%][%ELSEIF:X>=1%]b[%END:IF%]", {}, "a"),
        ("[%IF: [%X%] %]a[%END  : IF%][%  ELSE%]b[%END:IF%]", {}, "a"),
        ("[%IF: [%X%] %]a[%END  : IF%][%  ELSE%]b[%END:IF%]", {"X": " "}, "b"),
        (SPREAD, {}, "E"),
        (SPREAD, {"LANGUAGE": "Spanish"}, "O"),
        (SPREAD, {"LANGUAGE": "ITALIAN"}, "I"),
        ("[%IF:[%NAME%] == 'a m' %] X [%END:IF%]", {}, " X "),
        ("[%IF:NAME=='a  m'%]X[%END:IF%]", {}, ""),
        ("[%IF:LAST_NAME=='VAN DER BERG-O'NEIL'%]X[%END:IF%]", {}, "X"),
        ("[%IF:UPPER:TRANS:LAST_NAME!='smith'%]X[%END:IF%][%ELSE%]Y[%END:IF%]", {}, "Y"),
        ("[%IF:TRANS:AGE > 10%]X[%END:IF%]", {}, "X"),
        ("[%IF:EVENT:A:B:C=='deep'%]X[%END:IF%][%IF:EVENT.total<13%]Y[%END:IF%]", {}, "XY"),
        ("[%IF:PRODUCTS:2%]two[%END:IF%][%IF:PRODUCTS:3%]three[%END:IF%]", {}, "two"),
        # A blank value is none: only != holds.
        ("[%IF:BLANK=='x'%]a[%END:IF%][%IF:BLANK!='x'%]b[%END:IF%][%IF:BLANK<1%]c[%END:IF%]", {}, "b"),
        # Numbers in quotes are texts, and texts are no numbers.
        ("[%IF:ORDERS>'30'%]a[%END:IF%][%IF:NAME!=1%]b[%END:IF%][%IF:NAME==1%]c[%END:IF%]", {}, "b"),
        # Dates by their format, and as text where the formats differ.
        ("[%IF:BDAY<'11/14/2027'%]a[%END:IF%][%IF:BDAY>'11/14/2025'%]b[%END:IF%]", {}, "ab"),
        ("[%IF:BDAY=='03/07/2026'%]a[%END:IF%][%IF:BDAY<'2025-01-01'%]b[%END:IF%]", {}, "ab"),
        ("[%IF:SINCE>='2026-03-07'%]a[%END:IF%][%IF:SEEN>='2026-03-07 09:30:01'%]b[%END:IF%]", {}, "a"),
        ("[%IF:SEEN<'2026-03-07 09:30:01 PM'%]a[%END:IF%][%IF:SEEN>'2026-03-07'%]b[%END:IF%]", {}, "ab"),
        ("[%IF:SINCE<'10-04-2026'%]a[%END:IF%]", {"SINCE": "25-03-2026"}, "a"),
        ("[%IF:SINCE<'04-10-2026'%]a[%END:IF%]", {"SINCE": "03-25-2026"}, "a"),
        # Dates of the present.
        ("[%IF:CURRENT_DATE:dd>=7%]a[%END:IF%][%IF:CURRENT_DATE:dd>=08%]b[%END:IF%]", {}, "a"),
        ("[%IF:[%CURRENT_TIME:HH%] <23%]a[%END:IF%][%IF:CURRENT_DATE:yyyyMMdd==20260307%]b[%END:IF%]", {}, "ab"),
        ("[%IF:CURRENT_TIME >= '11:30 PM'%]a[%END:IF%][%IF:CURRENT_TIME:TIME_FORMAT>'12:30 pm'%]b[%END:IF%]", {}, "b"),
        ("[%IF:TOMORROW_DATE:dd/MM/yyyy<'25/08/1950'%]a[%END:IF%][%ELSE%]b[%END:IF%]", {}, "b"),
        ("[%IF:CURRENT_DATE:yyyy-MM!='2018-06'%]a[%END:IF%][%IF:CURRENT_DATE:MMMM=='march'%]b[%END:IF%]", {}, "ab"),
        ("[%IF:CURRENT_DATE:dddd=='Saturday'%]a[%END:IF%]", {}, "a"),
        ("[%IF:[%CURRENT_DATE:dd-MM-yyyy%]>'10-10-2018'%]b[%END:IF%]", {}, "b"),
        ("[%IF:CURRENT_DATE!='2016-04-23'%][%FIRST_NAME:you%] [%UPPER:NAME%][%END:IF%]", {}, "Kim A M"),
    ],
)  # fmt: skip
def test_which_branches_are_shown(text: str, values: dict[str, str], expected: str) -> None:
    assert written(text, **values) == expected


def test_html_holds_conditions_as_editors_write_them() -> None:
    html = (
        "<p>[%IF:ORDERS&gt;200 %]&nbsp;many[%END:IF%][% ELSE&nbsp;%]few[%END:IF%]"
        "[%IF:NAME==&#39;A M&#39;%]<b>yes</b>[%END:IF%]</p>"
    )
    shown = Template(tenant_id=1, channel_id=504, id=1, name="t", subject="s", html=html, text="")
    content = rendering.render(shown, "Q1", VALUES, {}, NOW)
    assert content.html == "<p>&nbsp;many<b>yes</b></p>"
    assert content.text == " manyyes"


Said = tuple[int | None, int | None, str, str, str]


def wrong(text: str, kind: TextKind = TextKind.TEXT, **limits: int) -> list[Said]:
    rules = checking.Rules({*VALUES}, transactional=False, **{"blocks": 9, "branches": 9, **limits})
    found = checking.problems(text, kind, rules)
    return [(each.block, each.branch, each.condition, each.message, each.details) for each in found]


END = "The branch has no closing [%END:IF%] of its own before the next condition."
NO_CONDITION = "This is not a condition: name an attribute, or an attribute, an operator and a value."
LITERAL = "The value {!r} is neither a number nor in single quotes."
OPERATORS = "use one of ==, !=, >, >=, <, <=."
SINGLE = "A condition has a single operator: use ELSEIF for another condition."
NO_TAG = "which is not a tag; write [%NAME%] or [%NAME:default%]."
ANOTHER = "The value {!r} is not in the format of [%{}%], which it is compared with."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ORDERS, []),
        ("[%IF:TRANS%]a[%END:IF%]", [(0, 0, "IF:TRANS", "'TRANS' is not a customer attribute, nor one of", "TRANS")]),
        ("[%IF:ORDERS>200%] a", [(0, 0, "IF:ORDERS>200", END, "")]),
        ("[%IF:X%]a[%END:IF%][%ELSE%]b", [(0, 1, "ELSE", END, "")]),
        ("[%IF:X%]a[%IF:NAME%]b[%END:IF%]c[%END:IF%]", [(0, 0, "IF:X", END, "")]),
        ("[%ELSEIF:X%]a[%END:IF%][%IF:X%]b[%END:IF%]", [(0, 0, "ELSEIF:X", "ELSEIF has no IF before it.", "")]),
        ("[%ELSE%]a[%END:IF%]", [(0, 0, "ELSE", "ELSE has no IF before it.", "")]),
        ("[%IF:X=200%]a[%END:IF%]", [(0, 0, "IF:X=200", f"The operator '=' does not exist: {OPERATORS}", "=")]),
        ("[%IF:X=!2%]a[%END:IF%]", [(0, 0, "IF:X=!2", f"The operator '=!' does not exist: {OPERATORS}", "=!")]),
        ("[%IF:X!2%]a[%END:IF%]", [(0, 0, "IF:X!2", f"The operator '!' does not exist: {OPERATORS}", "!")]),
        ("[%IF:X>1<5%]a[%END:IF%]", [(0, 0, "IF:X>1<5", SINGLE, "1<5")]),
        ("[%IF:X=='1' AND NAME=='2'%]a[%END:IF%]", [(0, 0, "IF:X=='1' AND NAME=='2'", SINGLE, "'1' AND NAME=='2'")]),
        ("[%IF:X==A%]a[%END:IF%]", [(0, 0, "IF:X==A", LITERAL.format("A"), "A")]),
        ("[%IF:X=='A%]a[%END:IF%]", [(0, 0, "IF:X=='A", LITERAL.format("'A"), "'A")]),
        ("[%IF:X==A'%]a[%END:IF%]", [(0, 0, "IF:X==A'", LITERAL.format("A'"), "A'")]),
        ("[%IF:X==%]a[%END:IF%]", [(0, 0, "IF:X==", LITERAL.format(""), "")]),
        ("[%IF:10<=X%]a[%END:IF%]", [(0, 0, "IF:10<=X", NO_CONDITION, "10<=X")]),
        ("[%IF:X is 1%]a[%END:IF%]", [(0, 0, "IF:X is 1", NO_CONDITION, "X is 1")]),
        ("[%IF:%]a[%END:IF%]", [(0, 0, "IF:", NO_CONDITION, "")]),
        ("[%IF:NOPE>1%]a[%END:IF%]", [(0, 0, "IF:NOPE>1", "'NOPE' is not a customer attribute, nor one of", "NOPE")]),
        (
            "[%IF:TRANS:A%]a[%END:IF%]",
            [(0, 0, "IF:TRANS:A", "[%TRANS:A%] is for transactional messages only.", "TRANS:A")],
        ),
        (
            "[%IF:X%]a[%END:IF%] [%IF:CURRENT_DATE:dd/MM/yyyy=='2026-01-31'%]a[%END:IF%]",
            [(1, 0, "IF:CURRENT_DATE:dd/MM/yyyy=='2026-01-31'",
              ANOTHER.format("2026-01-31", "CURRENT_DATE:dd/MM/yyyy"), "dd/MM/yyyy")],
        ),
        (
            "[%IF:CURRENT_DATE=='2026-02-30'%]a[%END:IF%][%ELSEIF:CURRENT_TIME>'15:00'%]b[%END:IF%]",
            [(0, 0, "IF:CURRENT_DATE=='2026-02-30'",
              ANOTHER.format("2026-02-30", "CURRENT_DATE:yyyy-MM-dd"), "yyyy-MM-dd"),
             (0, 1, "ELSEIF:CURRENT_TIME>'15:00'", ANOTHER.format("15:00", "CURRENT_TIME:hh:mm TT"), "hh:mm TT")],
        ),
        (
            "[%IF:CURRENT_DATE:MMM>3%]a[%END:IF%]",
            [(0, 0, "IF:CURRENT_DATE:MMM>3", ANOTHER.format("3", "CURRENT_DATE:MMM"), "MMM")],
        ),
        (
            "[%IF:CURRENT_DATE:YYYY>3%]a[%END:IF%]",
            [(0, 0, "IF:CURRENT_DATE:YYYY>3", "The format 'YYYY' has a token that does not exist.", "YYYY")],
        ),
        (
            "[%CURRENT_DATE:dd,MM%] [%CURRENT_TIME:MM%] [%TOMORROW_DATE:ddd%]",
            [(None, None, "", f"{tag!r}: the format {form!r} has a token that does not exist.", form)
             for tag, form in (("[%CURRENT_DATE:dd,MM%]", "dd,MM"), ("[%CURRENT_TIME:MM%]", "MM"),
                               ("[%TOMORROW_DATE:ddd%]", "ddd"))],
        ),
        ("[%UPPER:UNSUB%]", [(None, None, "", "'[%UPPER:UNSUB%]': a link cannot be written in another form.", "")]),
        ("[%UPPER:%] x", [(None, None, "", f"'[%UPPER:%] x', {NO_TAG}", "[%UPPER:%] x")]),
        ("[%EVENT::A%]", [(None, None, "", f"'[%EVENT::A%]', {NO_TAG}", "[%EVENT::A%]")]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_by_block_and_branch(text: str, expected: list[tuple[object, ...]]) -> None:
    said = wrong(text)
    assert [(*each[:3], each[4]) for each in said] == [(*each[:3], each[4]) for each in expected]
    for (*_, message, _details), (*_, begins, _same) in zip(said, expected, strict=True):
        assert message.startswith(str(begins))


def test_blocks_and_branches_have_limits() -> None:
    block = "[%IF:X==1%]a[%END:IF%][%ELSEIF:X==2%]b[%END:IF%][%ELSE%]c[%END:IF%]"
    assert wrong(block * 3, blocks=3, branches=3) == []
    assert wrong(block * 3, blocks=2) == [(2, 0, "IF:X==1", "The template may have at most 2 condition blocks.", "2")]
    assert wrong(block, branches=2) == [(0, 2, "ELSE", "A condition block may have at most 2 branches.", "2")]


def test_a_branch_ends_where_it_begins() -> None:
    (problem,) = wrong('<p title="[%IF:X%]">a[%END:IF%]</p>', TextKind.HTML)
    place = "The branch ends in another place of the HTML than it begins: put both tags into text or into one value."
    assert problem == (0, 0, "IF:X", place, "")
    assert wrong('<p title="[%IF:X%]a[%END:IF%]">[%IF:X%]</p><p>[%END:IF%]</p>', TextKind.HTML) == []


def test_a_template_is_checked_before_it_is_saved(scope: Scope, api: httpx.Client) -> None:
    body = {
        "subject": "[%IF:CITY=='Oslo'%]Hei[%END:IF%]",
        "html": "<p>[%IF:CITY=Oslo%]a[%END:IF%][%IF:TRANS:A%]b</p><form>[%NOPE%]</form><p style='[%CITY%]'>",
        "text": "[%IF:CURRENT_DATE:dd>7%]",
    }
    checked = api.post("/manage/v1/templates/check", json=body).json()["problems"]
    assert [(each["part"], each["block"], each["branch"], each["condition"]) for each in checked] == [
        ("html", None, None, ""),
        ("html", None, None, ""),
        ("html", 0, 0, "IF:CITY=Oslo"),
        ("html", 1, 0, "IF:TRANS:A"),
        ("html", 1, 0, "IF:TRANS:A"),
        ("text", 0, 0, "IF:CURRENT_DATE:dd>7"),
    ]
    assert checked[-1]["message"] == END
    of_transaction = {"subject": "[%ANY%] [%TRANS:A%]", "transactional": True}
    assert api.post("/manage/v1/templates/check", json=of_transaction).json() == {"problems": [], "warnings": []}


def test_limits_are_those_of_the_tenant(scope: Scope, api: httpx.Client) -> None:
    block = {"text": "[%IF:CITY%]a[%END:IF%][%ELSE%]b[%END:IF%]" * 2}
    assert api.post("/manage/v1/templates/check", json=block).json()["problems"] == []
    limits = {"settings": {"messaging": {"condition_blocks": 1, "condition_branches": 1}}}
    assert api.patch("/manage/v1/tenants/current", json=limits).status_code == 200
    checked = api.post("/manage/v1/templates/check", json=block).json()["problems"]
    assert [(each["block"], each["branch"]) for each in checked] == [(0, 1), (1, 0), (1, 1)]
    usual = {"settings": {"messaging": {"condition_blocks": None, "condition_branches": None}}}
    assert api.patch("/manage/v1/tenants/current", json=usual).status_code == 200
