"""Files of addresses that are suppressed: whatever they look like, all of them or none."""

from typing import Any

import httpx
import pytest

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.messaging.contactability import address_files, preferences

PATH = "/manage/v1/suppressions/file"
MAIL, OTHER = 504, 505


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    channels.create_channel(scope, "Mail", "email", id=MAIL)
    channels.create_channel(scope, "Texts", "external", id=OTHER, address_attribute="MOBILE_NUMBER")


def sent(api: httpx.Client, content: str | bytes, **fields: Any) -> httpx.Response:
    body = content if isinstance(content, bytes) else content.encode()
    return api.post(PATH, data=fields, files={"file": ("list.csv", body)})


def kept_off(scope: Scope, channel_id: int, *addresses: str) -> list[str]:
    """Those who get nothing on a channel when they have these addresses."""
    given = {address: address for address in addresses}
    return sorted(preferences.unreachable(scope, channel_id, list(given), addresses=given))


@pytest.mark.parametrize(
    ("name", "content", "fields"),
    [
        ("lines", "{0}\n{1}\n", {}),
        ("no end, blank lines", "\r\n{0}\r\n\r\n{1}", {}),
        ("header", "E-Mail\n{0}\n{1}\n", {}),
        ("mark and semicolons", "\ufeffKunde;E-Mail\n7;{0}\n8;\"Anna <{1}>\"\n", {"column": "e-mail"}),
        ("quoted header and tabs", "\"Id\"\t\"Email\"\n7\t{0}\n8\t{1}\n", {"column": "Email"}),
    ],
)  # fmt: skip
def test_every_look_of_a_file_is_read(
    api: httpx.Client, scope: Scope, name: str, content: str, fields: dict[str, str]
) -> None:
    some = [f"{name.replace(' ', '-').replace(',', '')}{n}@x.example" for n in (0, 1)]
    told = sent(api, content.format(*some), channel_id=MAIL, **fields).raise_for_status().json()
    assert told == {"addresses": 2, "added": 2, "refused": 0, "refused_lines": []}
    assert kept_off(scope, MAIL, *some, "other@x.example") == sorted(some)
    assert kept_off(scope, OTHER, *some) == []


def test_many_are_kept_in_pieces_and_counted_once(
    api: httpx.Client, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address_files, "AT_ONCE", 7)
    some = [f"many{n}@x.example" for n in range(50)]
    content = "\n".join([*some, some[3].upper()])
    assert sent(api, content).json() == {"addresses": 51, "added": 50, "refused": 0, "refused_lines": []}
    assert sent(api, content, reason="bounced").json()["added"] == 0
    assert kept_off(scope, MAIL, *some) == kept_off(scope, OTHER, *some) == sorted(some)
    entry = api.get("/manage/v1/audit-entries", params={"object": "addresses on channel 0"}).json()[0]
    assert entry["details"] == {"reason": "manual", "addresses": 50}


def test_lines_without_an_address_are_told_and_nothing_is_kept(api: httpx.Client, scope: Scope) -> None:
    content = "email,name\ngood1@x.example,A\nnonsense1,B\n,C\ngood2@x.example,D\n"
    refused = sent(api, content, channel_id=MAIL)
    assert refused.status_code == 400
    assert refused.json()["detail"] == (
        "2 lines have no e-mail address (3, 4): correct them, or set allow_rejects."
    )  # fmt: skip
    assert kept_off(scope, MAIL, "good1@x.example", "good2@x.example") == []
    told = sent(api, content, channel_id=MAIL, allow_rejects="true").json()
    assert told == {"addresses": 2, "added": 2, "refused": 2, "refused_lines": [3, 4]}
    assert len(kept_off(scope, MAIL, "good1@x.example", "good2@x.example")) == 2


@pytest.mark.parametrize(
    ("content", "fields", "status", "told"),
    [
        (b"\xff\xfe\x00a", {}, 400, "file is not text in UTF-8"),
        ("a\nb@x.example", {"column": "email"}, 400, "column 'email' is not in the first line of the file."),
        ("b@x.example", {"channel_id": 999}, 404, "999"),
        ("b@x.example", {"reason": "because"}, 400, "reason"),
        ("b@x.example", {"chanel_id": MAIL}, 400, "chanel_id is not a field of this call"),
        (
            "N0\nN1\nN4999\n@anna\nanna@\n",
            {},
            400,
            "file has no e-mail address or phone number in the first column: name",
        ),
        ("Name,Mail\nN0,a@x.example\n", {"allow_rejects": "true"}, 400, "phone number in the first column"),
        (
            "Name,Mail\nN0,a@x.example\n",
            {"column": "name"},
            400,
            "file has no e-mail address or phone number in column",
        ),
        ("Name\nA1\n", {"channel_id": MAIL, "allow_rejects": "true"}, 400, "file has no e-mail address in the first"),
        ("a1@x.example\nN4999\n", {}, 400, "1 line has no e-mail address or phone number (2): correct"),
        ("b@x.example", {"channel_id": [MAIL, OTHER]}, 400, "channel_id is given more than once"),
        (f"b{'b' * 140_000}@x.example", {}, 400, "file cannot be read as CSV near line 1."),
    ],
)
def test_what_cannot_be_read_is_refused(
    api: httpx.Client, content: str | bytes, fields: dict[str, Any], status: int, told: str
) -> None:
    refused = sent(api, content, **fields)
    assert (refused.status_code, told in refused.text) == (status, True), refused.text


def test_one_line_is_told_as_one(api: httpx.Client) -> None:
    assert (
        sent(api, "a@x.example\nnone\n", channel_id=MAIL)
        .json()["detail"]
        .startswith("1 line has no e-mail address (2):")
    )


def test_a_file_without_lines_is_refused(api: httpx.Client) -> None:
    for content in ("email\n", "", "\n \n"):
        refused = sent(api, content)
        told = "file has no addresses: it is empty, or has only a header."
        assert (refused.status_code, refused.json()["detail"]) == (400, told)


def test_phone_numbers_are_addresses_on_all_channels_and_tokens_on_their_own(api: httpx.Client, scope: Scope) -> None:
    told = sent(api, "phone\n+49 170 12\n١٢٣٤٥٦\nN4999\n", allow_rejects="true").json()
    assert told == {"addresses": 2, "added": 2, "refused": 1, "refused_lines": [4]}
    assert sent(api, "handle\nanna\n", channel_id=OTHER).json()["added"] == 1
    assert kept_off(scope, OTHER, "anna", "N4999", "+49 (170) 12") == ["+49 (170) 12", "anna"]


def test_an_address_is_not_given_twice_in_one_call(api: httpx.Client, scope: Scope) -> None:
    sent(api, "twice1@x.example\ntwice2@x.example\n", channel_id=MAIL).raise_for_status()
    query = {"address": ["twice1@x.example", "twice2@x.example"], "channel_id": MAIL}
    refused = api.delete("/manage/v1/suppressions", params=query)
    assert refused.status_code == 400 and refused.json()["detail"].startswith("address is given more than once")
    assert len(kept_off(scope, MAIL, *query["address"])) == 2
