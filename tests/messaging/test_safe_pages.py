"""Whatever a template holds and customers' values are, links of a page are of safe schemes and nothing else acts."""

import re
from datetime import datetime
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.errors import Invalid
from rapport.messaging import rendering, templates
from rapport.messaging.content import sanitised
from rapport.messaging.models import Template
from rapport.messaging.tags import addresses

ADDRESSES = {"href", "src", "cite", "background", "action", "formaction", "poster", "data", "longdesc"}
SAFE = {"http", "https", "mailto", "tel"}
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


@pytest.fixture(scope="module", autouse=True)
def channel(scope: Scope) -> None:
    channels.create_channel(scope, "Email", "email")


class Page(HTMLParser):
    """What of a page acts: its addresses as a browser reads them, its styles, its handlers and scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.styles: list[str] = []
        self.programs: list[str] = []
        self.structure: list[tuple[str, ...]] = []
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag if tag in ("style", "script") else ""
        self.structure.append((tag, *(name for name, _ in attrs)))
        for name, value in attrs:
            if name in ADDRESSES:
                self.addresses.append(re.sub("[\t\r\n]", "", value or "").lstrip("".join(map(chr, range(33)))))
            elif name == "style":
                self.styles.append(value or "")
            elif name.startswith("on"):
                self.programs.append(name)
        if tag == "script":
            self.programs.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.styles.append(data)

    @property
    def schemes(self) -> set[str]:
        return {scheme[1].lower() for address in self.addresses if (scheme := SCHEME.match(address))}


NOW = datetime(2026, 3, 7, 15, 4, 5)


def rendered(html: str, values: dict[str, str], products: list[str] | None = None) -> str:
    template = Template(tenant_id=1, channel_id=504, id=1, name="t", subject="s", html=html, text="t")
    return rendering.render(template, "Q1", values, {"products": products or []}, NOW).html


SLOTS = [
    "[%A%]",
    "[%B%]",
    "[%A:javascript:%]",
    "[%B:script%]",
    "[%A:https://a.example%]",
    "[%PRODUCTS%]",
    "[%A:&#58;%]",
    "[%UPPER:A%]",
    "[%TITLE_CASE:EVENT:B%]",
    "[%TRANS:A%]",
    "[%PRODUCTS:1%]",
    "[%CURRENT_DATE:dd/MM/yyyy%]",
]
CONTROL = [
    "[%IF:A%]",
    "[%IF:[%B%]=='javascript:'%]",
    "[%IF:A!='x>y'%]",
    "[%ELSEIF:B%]",
    "[% ELSE %]",
    "[%END:IF%]",
    "[%END:IF%]",
    "[%END : IF%]",
]
SCHEMES = [
    "javascript:",
    "java",
    "script:",
    ":",
    "https://",
    "http:",
    "HTTPS",
    "data:",
    "/",
    "?",
    "#",
    "&#58;",
    "&colon;",
]
PIECES = st.sampled_from(
    [
        *SLOTS,
        *SLOTS,
        *CONTROL,
        *SCHEMES,
        "alert(1)",
        "x",
        " ",
        "\t",
        "&#9;",
        "&#1;",
        "&",
        "&amp;",
        "%",
        "[%A:",
        "%]",
        '"',
        "'",
        "<",
        ">",
    ]
)
LINKS = ['<a href="{}">', "<a href='{}'>", "<a href={}>", '<img src="{}">', '<q cite="{}">', '<a title="{}" href="{}">']
ELSE = ['<p style="{}">', "<style>{}</style>", "<script>{}</script>", '<p onclick="{}">', "{}", "<!-- {} -->", "<p {}>"]
TAGS = st.sampled_from(LINKS + ELSE)
ELEMENTS = st.builds(lambda tag, parts: tag.replace("{}", "".join(parts)), TAGS, st.lists(PIECES, max_size=6))
TEMPLATES = st.lists(ELEMENTS | st.sampled_from(CONTROL), max_size=6).map("".join)
VALUES = st.lists(
    st.sampled_from([*SCHEMES, "alert(1)", "58", ";", '"', "'", "<script>", ">", "\n", "[%B%]"]), max_size=4
)


@given(TEMPLATES, VALUES.map("".join), VALUES.map("".join))
def test_no_page_has_a_link_or_a_program_that_values_make(html: str, first: str, second: str) -> None:
    """Whatever was kept before: all of it is sanitised, but may hold tags anywhere."""
    kept = sanitised(html)
    page = Page(rendered(kept, of_all_kinds(first, second), [first, second]))
    assert page.schemes <= SAFE
    assert page.programs == []
    assert set(page.styles) <= set(Page(addresses.defused(kept)).styles), "values choose among the author's styles"


def of_all_kinds(first: str, second: str) -> dict[str, str]:
    values = {"A": first, "B": second}
    return {f"{prefix}{name}": value for prefix in ("", "EVENT:", "TRANS:") for name, value in values.items()}


@given(TEMPLATES, VALUES.map("".join), VALUES.map("".join))
def test_no_value_makes_an_element_or_an_attribute(html: str, first: str, second: str) -> None:
    """With harmless values in their place, the same branches are taken, and the page has the same structure."""
    kept = sanitised(html.replace("=='javascript:'", "").replace("!='x>y'", ""))
    pages = [
        Page(rendered(kept, of_all_kinds(*values), list(values)))
        for values in ((first, second), tuple("x" if value.strip() else "" for value in (first, second)))
    ]
    assert pages[0].structure == pages[1].structure


@given(TEMPLATES, VALUES.map("".join), VALUES.map("".join))
def test_what_may_be_saved_is_rendered_as_it_stands(html: str, first: str, second: str) -> None:
    clean = sanitised(html)
    if addresses.misplaced(clean) is None:
        assert addresses.defused(clean) == clean
    assert Page(rendered(clean, {"A": first, "B": second})).schemes <= SAFE


@pytest.mark.parametrize(
    "kept",
    [
        '<a href="java[%X:script%]:alert(1)">a</a>',
        '<a href="[%X%]javascript:alert(1)">a</a>',
        '<a href="[%X%]java[%CITY%]script:alert(1)">a</a>',
        '<a href="\x01java[%X:script%]:alert(1)">a</a>',
        '<q cite="[%X%]javascript:alert(1)">a</q>',
    ],
)
@pytest.mark.parametrize("value", ["script", "", "https://x.example/", "javascript:"])
def test_an_address_that_was_kept_and_has_no_fixed_scheme_is_left_out(kept: str, value: str) -> None:
    assert Page(rendered(kept, {"X": value})).addresses == [""]


def test_a_style_that_was_kept_has_its_default() -> None:
    kept = '<style>p{color:[%X:red%]}</style><p style="color:[%X:blue%];width:[%CITY%]">a</p>'
    shown = '<style>p{color:red}</style><p style="color: blue;width: ">a</p>'
    assert rendered(kept, {"X": "red;background:url(https://e.example)", "CITY": "1px"}) == shown


def test_a_tag_across_the_end_of_an_attribute_is_none() -> None:
    kept = sanitised('<a href="[%X:">text</a><p>%]javascript:alert(1)" onclick="alert(1)" x=></p>')
    page = Page(rendered(kept, {"X": ""}))
    assert (page.schemes, page.programs) == (set(), [])
    assert rendered("<p>[%X:<b>you</b>%] there</p>", {"X": "Kim"}) == "<p>Kim there</p>"


STYLE = r"html contains '\[%CITY.*%\]' in a style, where no tag can stand"
SCRIPT = r"html contains '\[%CITY%\]' in a script, where no tag can stand"
CONDITIONAL = r"html contains '\[%IF:CITY%\]' before or within the scheme of an address: let the address begin with .*"
MANY = r"html contains '\[%IF:CITY%\]' in an address with too many conditions: put a condition around the whole link"
ADDRESS = r"html contains '\[%CITY.*%\]' before or within the scheme of an address: let the address begin with https://"


@pytest.mark.parametrize(
    ("html", "sentence"),
    [
        ('<p style="color:[%CITY:red%]">a</p>', STYLE),
        ("<p style=color:[%CITY%]>a</p>", STYLE),
        ("<style>p{color:[%CITY%]}</style><p>a</p>", STYLE),
        ("<STYLE media='x'>p{color:[%CITY%]}</STYLE ><p>a</p>", STYLE),
        ("<p>a</p><script>f('[%CITY%]')</script>", SCRIPT),
        ("<p ONCLICK='f([%CITY%])'>a</p>", SCRIPT),
        ('<a href="java[%CITY%]:alert(1)">a</a>', ADDRESS),
        ('<a href="[%CITY%]javascript:alert(1)">a</a>', ADDRESS),
        ('<a href="[%CITY:x%]script&#58;alert(1)">a</a>', ADDRESS),
        ('<a href="http[%CITY%]://shop.example">a</a>', ADDRESS),
        ('<a href="javascript:f([%CITY%])">a</a>', ADDRESS),
        ('<img src="[%CITY%]cid:x">', ADDRESS),
        ('<a href="[%IF:CITY%]java[%END:IF%]script:alert(1)">a</a>', CONDITIONAL),
        ('<a href="[%IF:CITY%]javas[%END:IF%][%ELSE%]https://a.example[%END:IF%]cript:1">a</a>', CONDITIONAL),
        ('<a href="/' + "".join(f"[%IF:CITY%]{sign}[%END:IF%]" for sign in "abcdefg") + '">a</a>', MANY),
        ('<p style="[%IF:CITY%]color:red[%END:IF%]">a</p>', r"html contains '\[%IF:CITY%\]' in a style, where .*"),
        ('<p>[%CITY:"><p title="%]">a</p>', r"html contains '\[%CITY:.*', which is not a tag; write .*"),
    ],
)
def test_a_tag_where_no_value_may_stand_is_refused(scope: Scope, html: str, sentence: str) -> None:
    with pytest.raises(Invalid, match=f"^{sentence}\\.$"):
        templates.save_template(scope, 504, "Misplaced", "s", html)


def test_tags_of_ordinary_mail_are_taken(scope: Scope) -> None:
    html = (
        '<!--[if mso]><p style="[%CITY%]">x</p><![endif]--><style>p{color:red}</style><p style="color:red">[%CITY%]</p>'
        '<a href="[%CITY%]">a</a><a href=" [%UNSUB%]">b</a><a href="https://shop.example/[%CITY%]?a:b=[%CITY%]">c</a>'
        '<a href="mailto:[%CITY%]">d</a><a href="[%CITY:https://shop.example/%]?utm=[%CAMPAIGN_ID%]">e</a>'
        '<img src="//cdn.example/[%CITY%].png" alt="[%CITY%]"><a href="/s/[%CITY%]:1">f</a><p>java[%CITY%]:x</p>'
    )
    shop = "https://shop.example"
    html += f'<a href="[%IF:CITY%]{shop}/[%CITY%][%END:IF%][%ELSE%]{shop}[%END:IF%]?a=b">g</a>'
    saved = templates.save_template(scope, 504, "Ordinary", "s", html)
    page = rendered(saved.html, {"CITY": "Oslo"})
    assert [unescape(address) for address in Page(page).addresses] == [
        "",
        "",
        "https://shop.example/Oslo?a:b=Oslo",
        "mailto:Oslo",
        "?utm=",
        "//cdn.example/Oslo.png",
        "/s/Oslo:1",
        "https://shop.example/Oslo?a=b",
    ]


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("https://x.example/?a&b", "https://x.example/?a&b/z"),
        ("javascript:alert(1)", "/z"),
        ("a b", "/z"),
        ("", "https://shop.example/%3F/z"),
    ],
)
def test_what_begins_an_address_by_a_condition_is_judged_when_it_is_filled(value: str, address: str) -> None:
    """A value that begins it is a whole address; the same tag after a fixed beginning is a part of one."""
    html = "<a href=\"[%IF:X==''%][%END:IF%][%IF:Y%]https://shop.example/[%END:IF%][%Z%]/z\">a</a>"
    values = {"Z": value} if value else {"Y": "1", "Z": "?"}
    assert Page(rendered(html, values)).addresses == [address]


@pytest.mark.parametrize("value", ["", "x"])
def test_an_address_that_conditions_make_unsafe_is_left_out(value: str) -> None:
    kept = '<a href="[%IF:X%]java[%END:IF%][%ELSE%]http[%END:IF%]script:alert(1)">a</a>'
    assert Page(rendered(kept, {"X": value})).addresses == [""]


def test_conditions_stay_between_the_rows_of_a_table() -> None:
    row = "<tr><td>{}</td></tr>"
    html = f"<table>[%IF:X>5%]{row.format('many')}[%END:IF%][%ELSE%]{row.format('few')}[%END:IF%]</table><!-- x -->"
    kept = sanitised(html)
    assert sanitised(kept) == kept
    for value, shown in (("6", "many"), ("5", "few")):
        as_browsers_read_it = sanitised(rendered(kept, {"X": value}))
        assert as_browsers_read_it == f"<table><tbody>{row.format(shown)}</tbody></table>"


@pytest.mark.parametrize(
    "html",
    [
        """<p>[%IF:X=='" onclick="alert(1)'%]</p><a title="<!--condition 0-->">a</a>""",
        """<p>[%IF:X=='" onclick="alert(1)'%]</p><a title="&lt;!--condition 0--&gt;">a</a>""",
        """<p>[%IF:X=='<script>alert(1)</script>'%]</p><textarea>[%IF:X%]</textarea><!--condition 0-->""",
        """<p>[%IF:X=='&lt;script&gt;alert(1)&lt;/script&gt;'%]</p><title><!--condition 0--></title>""",
    ],
)
def test_the_condition_of_a_tag_is_no_markup(html: str) -> None:
    page = Page(sanitised(html))
    assert page.programs == []
    assert {name for _, *names in page.structure for name in names} <= {"title"}
