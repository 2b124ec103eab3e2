"""What devices get, member by member, as the SDKs read it."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from rapport.channels.push.details import PushDetails
from rapport.channels.push.payloads import Push, android_data, apns_payload, fcm_message, hms_message, web_payload

FULL: dict[str, Any] = {
    "url": "https://shop.example/sale",
    "picture": "promo/shoe.png",
    "icon": "https://shop.example/icon.png",
    "buttons": [{"id": "buy", "text": "Buy", "icon": {"type": "system", "id": "cart"}}, {"id": "no", "text": "No"}],
    "deep_link": {"type": 1, "id": 905},
    "data": {"sku": 7, "list": [1, {"a": None}]},
    "badge": {"inc": 2},
    "sound": "ping.caf",
    "category": "sale",
    "collapse_key": "sale",
    "background": True,
    "android_channel": "promo",
    "important": True,
    "ttl_seconds": 3600,
}


def push(number: int = 77, title: str = "Hi", text: str = "There", **details: Any) -> Push:
    return Push(number, title, text, PushDetails.model_validate(details))


ATTRIBUTES = {
    "sku": 7,
    "list": [1, {"a": None}],
    "k.message": {"type": 1, "data": {"id": 77}},
    "k.buttons": [
        {"id": "buy", "text": "Buy", "icon": {"type": "system", "id": "cart"}},
        {"id": "no", "text": "No"},
    ],
    "k.deepLink": {"type": 1, "data": {"id": 905}},
    "badge_inc": 2,
}


def test_ios_gets_all_that_a_template_may_say() -> None:
    assert json.loads(apns_payload(push(**FULL), badge=3)) == {
        "aps": {
            "alert": {"title": "Hi", "body": "There"},
            "mutable-content": 1,
            "badge": 5,
            "sound": "ping.caf",
            "category": "sale",
            "content-available": 1,
        },
        "custom": {"u": "https://shop.example/sale", "a": ATTRIBUTES, "badge_inc": 2},
        "attachments": {"pictureUrl": "promo/shoe.png"},
    }


def test_ios_gets_no_member_that_was_not_said() -> None:
    assert json.loads(apns_payload(push())) == {
        "aps": {"alert": {"title": "Hi", "body": "There"}, "mutable-content": 1},
        "custom": {"a": {"k.message": {"type": 1, "data": {"id": 77}}}},
    }


@pytest.mark.parametrize(
    ("badge", "present", "shown", "increment"),
    [({"set": 0}, 9, 0, None), ({"inc": -5}, 3, 0, -5), ({"set": 4, "inc": 1}, 9, 4, 1), ({"inc": 1}, 0, 1, 1)],
)
def test_a_badge_is_set_or_counted_and_never_below_zero(
    badge: dict[str, int], present: int, shown: int, increment: int | None
) -> None:
    sent = json.loads(apns_payload(push(badge=badge), present))
    assert sent["aps"]["badge"] == shown
    assert (sent["custom"].get("badge_inc"), sent["custom"]["a"].get("badge_inc")) == (increment, increment)


def test_a_message_without_texts_only_wakes_the_app() -> None:
    silent = push(title="", text="")
    assert json.loads(apns_payload(silent)) == {
        "aps": {"content-available": 1},
        "custom": {"a": {"k.message": {"type": 1, "data": {"id": 77}}}},
    }
    assert android_data(silent).keys() == {"bgn", "custom"}


def test_android_gets_texts_alone() -> None:
    data = android_data(push(**FULL))
    custom = json.loads(data.pop("custom"))
    assert data == {"title": "Hi", "alert": "There", "bicon": "promo/shoe.png", "sound": "ping.caf", "bgn": "1"}
    assert custom == {
        "u": "https://shop.example/sale",
        "a": {**ATTRIBUTES, "k.channel": "promo", "k.notificationType": "important"},
    }


def test_requests_to_google_and_huawei() -> None:
    google = fcm_message(push(**FULL, urgent=False), "tok")["message"]
    assert (google["token"], google["android"]) == (
        "tok",
        {"priority": "NORMAL", "ttl": "3600s", "collapse_key": "sale"},
    )
    assert all(isinstance(value, str) for value in google["data"].values())
    huawei = hms_message(push(**FULL), "tok")
    assert huawei["validate_only"] is False and huawei["message"]["token"] == ["tok"]
    assert json.loads(huawei["message"]["data"]) == android_data(push(**FULL))
    assert (huawei["message"]["android"]["urgency"], huawei["message"]["android"]["ttl"]) == ("HIGH", "3600s")
    assert 0 <= huawei["message"]["android"]["collapse_key"] <= 100


def test_a_browser_gets_null_for_what_was_not_said() -> None:
    assert json.loads(web_payload(push())) == {
        "title": "Hi",
        "msg": "There",
        "data": {"k.message": {"type": 1, "data": {"id": 77}}},
        "url": None,
        "icon": None,
        "image": None,
    }
    full = json.loads(web_payload(push(**FULL)))
    assert (full["url"], full["icon"], full["image"], full["data"]) == (
        "https://shop.example/sale",
        "https://shop.example/icon.png",
        "promo/shoe.png",
        ATTRIBUTES,
    )


def test_an_overlay_has_no_number() -> None:
    sent = json.loads(apns_payload(push(deep_link={"type": 2})))
    assert sent["custom"]["a"]["k.deepLink"] == {"type": 2}


@pytest.mark.parametrize("number", [0, -1, 2**31])
def test_no_message_leaves_without_a_number_that_the_sdks_take(number: int) -> None:
    with pytest.raises(ValueError, match="needs a number"):
        push(number)


def test_an_address_that_a_tag_made_unsafe_is_left_out() -> None:
    unsafe = Push(1, "a", "b", PushDetails.model_construct(url=" JavaScript:alert(1)", picture="data:x"))
    assert json.loads(web_payload(unsafe))["url"] is None
    assert "u" not in json.loads(apns_payload(unsafe))["custom"]
    assert "bicon" not in android_data(unsafe)


@pytest.mark.parametrize(
    "details",
    [
        {"url": "javascript:alert(1)"},
        {"data": {"k.message": {}}},
        {"data": {"badge_inc": 1}},
        {"badge": {"set": -1}},
        {"ttl_seconds": 2419201},
        {"deep_link": {"type": 3}},
        {"buttons": [{"id": "x", "text": "y"}] * 5},
        {"unknown": 1},
    ],
)
def test_details_that_no_device_can_use_are_refused(details: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PushDetails.model_validate(details)
