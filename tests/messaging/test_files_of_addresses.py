"""Files of addresses that are suppressed: whatever they look like, all of them or none."""

from typing import Any

import httpx
import pytest

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.messaging import address_files, service

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
    return sorted(service.unreachable(scope, channel_id, list(given), addresses=given))


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
        "2 lines have no e-mail address (3, 4): mend them, or give allow_rejects."
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


def test_an_empty_file_changes_nothing(api: httpx.Client) -> None:
    assert sent(api, "email\n").json() == {"addresses": 0, "added": 0, "refused": 0, "refused_lines": []}
    assert sent(api, "").json()["addresses"] == 0
