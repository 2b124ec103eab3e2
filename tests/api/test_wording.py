"""Bad input is told in one plain sentence that names its place, whatever found it."""

from typing import Annotated, Any, Literal

import httpx
import pytest
from pydantic import Field

from rapport.api.http.bodies import WireModel, parse, parse_array
from rapport.errors import Invalid


class Part(WireModel):
    kind: Literal["part"] = "part"
    size: int = Field(alias="Size", ge=1, le=9)


class Other(WireModel):
    kind: Literal["other"]


class Whole(WireModel):
    names: list[str] = Field(alias="Names", min_length=1, max_length=2)
    parts: list[Part] = Field([], alias="Parts")
    one: Annotated[Part | Other, Field(discriminator="kind")] | None = Field(None, alias="One")
    any_: str | int | None = Field(None, alias="Any")
    often: Part | Literal["once", "never"] = Field("once", alias="Often")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("{}", "Names is required."),
        ('{"Names": "x"}', "Names: must be a list."),
        ('{"Names": []}', "Names: must have at least 1 item."),
        ('{"Names": ["a", "b", "c"]}', "Names: must have at most 2 items."),
        ('{"Names": ["a", 3]}', "Names[1]: must be a text."),
        ('{"names": ["a"], "parts": [{"size": 1}, {}]}', "Parts[1].Size is required."),
        ('{"names": ["a"], "parts": [{"size": "x"}]}', "Parts[0].Size: must be a whole number."),
        ('{"names": ["a"], "parts": [{"size": 0}]}', "Parts[0].Size: must be at least 1."),
        ('{"names": ["a"], "parts": [{"size": 10}]}', "Parts[0].Size: must be at most 9."),
        ('{"names": ["a"], "parts": [3]}', "Parts[0]: must be an object."),
        ('{"names": ["a"], "one": {"kind": "x"}}', "One.kind: must be one of 'part', 'other'."),
        ('{"names": ["a"], "one": {}}', "One.kind is required."),
        ('{"names": ["a"], "one": {"kind": "part"}}', "One.Size is required."),
        ('{"names": ["a"], "one": {"kind": "part", "size": 0}}', "One.Size: must be at least 1."),
        ('{"names": ["a"], "any": []}', "Any: must be a text or a whole number."),
        ('{"names": ["a"], "often": 3}', "Often: must be an object or 'once' or 'never'."),
        ('{"names": ["a"], "often": {"size": 0}}', "Often.Size: must be at least 1."),
    ],
)
def test_a_body_of_the_wire(body: str, sentence: str) -> None:
    with pytest.raises(Invalid) as told:
        parse(Whole, body.encode())
    assert told.value.message == sentence
    with pytest.raises(Invalid) as told:
        parse_array(Whole, f'[{{"Names": ["a"]}}, {body}]'.encode(), most=5)
    assert told.value.message == f"[1].{sentence}"


GROUP = {"action_id": 2, "channels": [{"channel_id": 15, "template_id": 1}]}
SERIES = {
    "name": "x",
    "target_group_id": 1,
    "schedule": {"kind": "once", "start_date": "2031-01-01"},
    "groups": [GROUP],
}
TRIGGER = {"name": "x", "trigger": {"kind": "simple", "event": "login"}, "groups": [GROUP]}


def with_channel(**more: Any) -> dict[str, Any]:
    return {"groups": [{**GROUP, "channels": [{**GROUP["channels"][0], **more}]}]}  # type: ignore[index]


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        (
            "series",
            SERIES | with_channel(send_time="9:30"),
            "groups[0].channels[0].send_time: must be a time such as 09:30.",
        ),
        ("series", SERIES | {"groups": [{**GROUP, "channels": []}]}, "groups[0].channels: must have at least 1 item."),
        ("series", SERIES | {"target_group_id": "x"}, "target_group_id: must be a whole number."),
        ("series", SERIES | {"target_group_id": None}, "target_group_id: must be a whole number."),
        ("series", SERIES | {"name": 3}, "name: must be a text."),
        ("series", SERIES | {"colour": 3}, "colour is not known here; there are name, target_group_id, campaign_type,"),
        (
            "series",
            SERIES | with_channel(sendtime="09:30"),
            "groups[0].channels[0].sendtime is not known here; there are channel_id, template_id, send_time,",
        ),
        (
            "series",
            SERIES | {"schedule": {"kind": "once", "start": "2031-01-01"}},
            "schedule.start is not known here; there are kind, start_date,",
        ),
        ("series", SERIES | {"conditional": "perhaps"}, "conditional: must be true or false."),
        ("series", SERIES | {"min_share": 0.6}, "min_share: must be at most 0.5."),
        ("series", SERIES | {"control_share": 1}, "control_share: must be less than 1."),
        ("series", SERIES | {"split": "x"}, "split: must be 'fixed' or 'thompson'."),
        ("series", SERIES | {"schedule": {"kind": "once"}}, "schedule.start_date is required."),
        (
            "series",
            SERIES | {"schedule": {"kind": "once", "start_date": "x"}},
            "schedule.start_date: must be a date as",
        ),
        ("series", SERIES | {"campaign_type": "A/B"}, "A/B needs two groups: choose Test/Control for one group."),
        (
            "series",
            SERIES | {"groups": [GROUP] * 2},
            "Test/Control needs one group: choose A/B for 2 groups.",
        ),
        (
            "series",
            SERIES | {"groups": [GROUP] * 3, "campaign_type": "A/B"},
            "A/B needs two groups: choose A/B/n for 3 groups.",
        ),
        (
            "series",
            SERIES | {"groups": [{**GROUP, "share": 1 / 25}] * 25, "campaign_type": "A/B/n", "split": "thompson"},
            "min_share is too large for so many groups.",
        ),
        (
            "triggers",
            TRIGGER | {"trigger": {"kind": "journey"}, "control_share": 0.1},
            "control_share must be 0 for a campaign of a journey: hold_out_share of the journey keeps customers out.",
        ),
        ("triggers", TRIGGER | {"groups": [GROUP] * 2}, "Test/Control needs one group: choose A/B for 2 groups."),
        ("series", [], "The body: must be an object."),
        (
            "triggers",
            TRIGGER | {"trigger": {"kind": "simpl"}},
            "trigger.kind: must be one of 'simple', 'repeated', 'sequence', 'journey'.",
        ),
        ("triggers", TRIGGER | {"trigger": {"event": "login"}}, "trigger.kind is required."),
        ("triggers", TRIGGER | {"trigger": {"kind": "simple"}}, "trigger.event is required."),
        (
            "triggers",
            TRIGGER | {"trigger": {"kind": "repeated", "event": "login", "count": 3, "window_minutes": 9}},
            "trigger.count is not known here; there are event, conditions, kind, times, window_minutes.",
        ),
        ("triggers", TRIGGER | {"re_entry": {"tims": 1}}, "re_entry.tims is not known here; there are times, days."),
        ("triggers", TRIGGER | {"re_entry": {"times": 0}}, "re_entry.times: must be at least 1."),
    ],
)
def test_a_body_of_the_management_api(api: httpx.Client, path: str, body: Any, sentence: str) -> None:
    answer = api.post(f"/manage/v1/{path}", json=body)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(sentence)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"sender": "x"}, "There is no sender in settings; there are host, port, security, username, password,"),
        ({"port": "smtp"}, "settings.port: must be a whole number."),
        ({"timeout_seconds": "long"}, "settings.timeout_seconds: must be a number."),
        ({"security": "ssl"}, "settings.security: must be 'none', 'opportunistic', 'starttls' or 'tls'."),
        ({"reply_to": "x"}, "settings.reply_to: must be an e-mail address."),
    ],
)
def test_settings_of_a_channel(api: httpx.Client, settings: dict[str, Any], sentence: str) -> None:
    answer = api.post("/manage/v1/channels", json={"name": "Mail", "kind": "email", "settings": settings})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(sentence)


def test_a_kind_of_channel_without_settings(api: httpx.Client) -> None:
    answer = api.post("/manage/v1/channels", json={"name": "Out", "kind": "external", "settings": {"host": "x"}})
    assert answer.json()["detail"] == "There is no host in settings; nothing can be set there."


def test_items_of_a_list_are_numbered_in_the_same_way(api: httpx.Client) -> None:
    answer = api.put("/manage/v1/lifecycle-stages", json=[{"kind": "star"}])
    assert answer.json()["detail"].startswith("[0].kind: must be 'new', 'active'")


def test_parameters_of_the_management_api(api: httpx.Client) -> None:
    for query, sentence in (
        ("limit=x", "limit: must be a whole number."),
        ("limit=0", "limit: must be at least 1."),
        ("status=x", "status: must be 'active', 'paused' or 'archived'."),
    ):
        answer = api.get(f"/manage/v1/series?{query}")
        assert (answer.status_code, answer.json()["detail"]) == (400, sentence)


@pytest.mark.parametrize("given", ["yesterday", "2026-11-02T09:30:00", "2026-11-02", "2026-13-45T00:00:00Z", ""])
@pytest.mark.parametrize("path", ["audit-entries", "event-log", "exports/outcomes"])
def test_an_instant_is_asked_for_with_its_zone_and_an_example(api: httpx.Client, path: str, given: str) -> None:
    answer = api.get(f"/manage/v1/{path}", params={"since": given})
    assert answer.status_code == 400
    assert answer.json()["detail"] == "since: must be an ISO 8601 time with its zone, such as 2026-11-02T09:30:00Z."


def test_a_day_is_asked_for_with_an_example(api: httpx.Client) -> None:
    answer = api.get("/manage/v1/summary", params={"first": "yesterday"})
    assert answer.json()["detail"] == "first: must be a date as YYYY-MM-DD, such as 2026-11-02."


def test_what_no_route_takes_is_told_with_what_there_is(api: httpx.Client) -> None:
    answer = api.post("/Actions/getactionname")
    assert (answer.status_code, answer.json()) == (405, "GetActionName takes GET, not POST.")
    assert answer.headers["allow"] == "GET"
    answer = api.delete("/manage/v1/series")
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")
    assert answer.json() == {
        "type": "about:blank",
        "title": "WrongMethod",
        "status": 405,
        "detail": "/manage/v1/series takes GET or POST, not DELETE.",
    }
    assert answer.headers["allow"] == "GET, POST"
    assert api.post("/docs/assets/favicon.png").status_code == 405
    for path in ("/current/actions/GetNothing", "/nothing", "/manage/v1/nothing"):
        answer = api.get(path)
        told = answer.json()["detail"] if path.startswith("/manage") else answer.json()
        assert (answer.status_code, told) == (404, f"There is no path {path}; /docs lists them.")
    assert len(api.get(f"/{'x' * 3000}").content) < 400


def test_a_miss_names_the_parameter_and_its_value(api: httpx.Client) -> None:
    for path, sentence in (
        ("actions/GetCampaignDetails?CampaignID=99999", "There is no campaign of the CampaignID 99999."),
        ("actions/GetActionName?ActionID=77", "There is no action of the ActionID 77."),
        ("actions/GetActionID?ActionName={x}", "There is no action of the ActionName '{x}'."),
        ("groups/GetTargetGroupName?TargetGroupID=77", "There is no target group of the TargetGroupID 77."),
        ("segments/GetValueSegmentName?ValueSegmentID=77", "There is no value segment of the ValueSegmentID 77."),
        (
            "actions/GetExecutedCampaignChannelDetails?CampaignID=9&ChannelID=15",
            "There is no campaign of the CampaignID 9.",
        ),
    ):
        answer = api.get(f"/current/{path}")
        assert (answer.status_code, answer.json()) == (404, sentence)


def test_a_file_without_its_key_is_told_so(api: httpx.Client) -> None:
    answer = api.get("/v1/files/rapport-1/a/metadata.json")
    assert (answer.status_code, answer.json()) == (
        400,
        "X-Decryption-Key is missing: event 14 contains it as DecryptionKey.",
    )
