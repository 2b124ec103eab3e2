"""Messages as the SDKs on devices read them: for APNs, for FCM and HMS, and for browsers.

The iOS SDK ends the app when a message has no whole number at k.message, so each message has one from 1 upward. Values
of FCM and HMS are texts; `custom` is JSON in one of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from rapport.channels.push.details import LARGEST_NUMBER, PushDetails, is_safe

PUSH_MESSAGE = 1
# Bytes that a provider takes of one message. A browser's message is encrypted in one record (RFC 8188, 8291).
MOST_APNS, MOST_FCM, MOST_WEB = 4096, 4096, 3993


@dataclass(frozen=True, slots=True)
class Push:
    """A message for devices. number is what they report it by."""

    number: int
    title: str
    text: str
    details: PushDetails

    def __post_init__(self) -> None:
        if not 1 <= self.number <= LARGEST_NUMBER:
            raise ValueError("a push message needs a number that devices can report it by")

    @property
    def is_silent(self) -> bool:
        """Whether nothing of it is shown."""
        return not (self.title or self.text)

    @property
    def url(self) -> str:
        """What a tap opens; empty where tags made an address of it that must not be opened."""
        return self.details.url if is_safe(self.details.url) else ""


def apns_payload(push: Push, badge: int = 0) -> bytes:
    """The message for iOS; badge is the number that the app's icon has now."""
    details = push.details
    aps: dict[str, Any] = {}
    if not push.is_silent:
        aps = {"alert": {"title": push.title, "body": push.text}, "mutable-content": 1}
    custom: dict[str, Any] = {"a": _attributes(push)}
    if push.url:
        custom["u"] = push.url
    if details.badge is not None:
        increment = details.badge.inc
        if increment is not None:
            custom["badge_inc"] = increment
        # The SDK counts only where there is a badge beside the increment.
        aps["badge"] = details.badge.set if details.badge.set is not None else max(0, badge + (increment or 0))
    aps |= {name: text for name, text in (("sound", details.sound), ("category", details.category)) if text}
    if details.background or push.is_silent:
        aps["content-available"] = 1
    payload: dict[str, Any] = {"aps": aps, "custom": custom}
    if details.picture and is_safe(details.picture):
        payload["attachments"] = {"pictureUrl": details.picture}
    return orjson.dumps(payload)


def android_data(push: Push) -> dict[str, str]:
    """The message for Android, by FCM or HMS."""
    details, attributes = push.details, _attributes(push)
    if details.android_channel:
        attributes["k.channel"] = details.android_channel
    if details.important:
        attributes["k.notificationType"] = "important"
    custom: dict[str, Any] = {"u": push.url} if push.url else {}
    texts = {
        "title": push.title,
        "alert": push.text,
        "bicon": details.picture if is_safe(details.picture) else "",
        "sound": details.sound,
        "bgn": "1" if details.background or push.is_silent else "",
    }
    custom["a"] = attributes
    return {**{name: text for name, text in texts.items() if text}, "custom": orjson.dumps(custom).decode()}


def web_payload(push: Push) -> bytes:
    """The message for the service worker of a site, before it is encrypted."""
    details = push.details
    members = {
        "title": push.title,
        "msg": push.text,
        "data": _attributes(push),
        "url": push.url or None,
        "icon": details.icon if details.icon and is_safe(details.icon) else None,
        "image": details.picture if details.picture and is_safe(details.picture) else None,
    }
    return orjson.dumps(members)


def fcm_message(push: Push, token: str) -> dict[str, Any]:
    """The body of a request to FCM's HTTP v1 API for one device."""
    android: dict[str, Any] = {
        "priority": "HIGH" if push.details.urgent else "NORMAL",
        "ttl": f"{push.details.ttl_seconds}s",
    }
    if push.details.collapse_key:
        android["collapse_key"] = push.details.collapse_key
    return {"message": {"token": token, "data": android_data(push), "android": android}}


def hms_message(push: Push, token: str) -> dict[str, Any]:
    """The body of a request to Huawei's push service for one device; its collapse keys are small numbers."""
    urgency = "HIGH" if push.details.urgent else "NORMAL"
    android: dict[str, Any] = {"urgency": urgency, "ttl": f"{min(push.details.ttl_seconds, 15 * 24 * 3600)}s"}
    if push.details.collapse_key:
        android["collapse_key"] = sum(push.details.collapse_key.encode()) % 101
    data = orjson.dumps(android_data(push)).decode()
    return {"validate_only": False, "message": {"data": data, "token": [token], "android": android}}


def _attributes(push: Push) -> dict[str, Any]:
    """What reaches the app as its own data, and what its SDK reads there."""
    details = push.details
    attributes: dict[str, Any] = {
        **details.data,
        "k.message": {"type": PUSH_MESSAGE, "data": {"id": push.number}},
    }
    if details.buttons:
        attributes["k.buttons"] = [button.model_dump(exclude_none=True) for button in details.buttons]
    if details.deep_link is not None:
        attributes["k.deepLink"] = _deep_link(details.deep_link.model_dump())
    if details.badge is not None and details.badge.inc is not None:
        attributes["badge_inc"] = details.badge.inc
    return attributes


def _deep_link(link: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": link["type"]} if link["id"] is None else {"type": link["type"], "data": {"id": link["id"]}}
