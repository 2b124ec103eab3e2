"""What events of an SDK say of an install: each is read as the values that it changes."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from rapport.apps.states import EventType
from rapport.apps.tokens import token_of
from rapport.customers import identity
from rapport.errors import Invalid

LONGEST_CUSTOMER_ID = 255
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
APP_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")
PRODUCTION = 1  # of iosTokenType; the others are builds for testing, which APNs reaches through its sandbox
IOS, ANDROID = 1, 3
SYSTEMS = {IOS: "iOS", 2: "macOS", ANDROID: "Android"}
SDKS = {101: "iOS", 102: "Android", 10: "Web", 104: "Web"}
# How browsers name their system, in the order in which they are looked for: one word may be within what another says.
BROWSER_SYSTEMS = {
    "Windows": "Windows",
    "Android": "Android",
    "iPhone": "iOS",
    "iPad": "iPadOS",
    "CrOS": "ChromeOS",
    "Mac OS X": "macOS",
    "Linux": "Linux",
}
UNSUBSCRIBED = "The device has unsubscribed."


@dataclass(frozen=True)
class Change:
    """Values that an install gets, by the names of its columns; of_person: only while it is this person's."""

    values: Mapping[str, Any]
    of_person: str | None = None


def change_of(event_type: str, data: Mapping[str, Any], install_id: str, *, plain_http: bool = False) -> Change | None:
    """What an event changes in an install; None for one that changes nothing. Raises Invalid."""
    if event_type == EventType.DEVICE_REGISTERED:
        return _registered(data, plain_http=plain_http)
    if event_type == EventType.USER_ASSOCIATED:
        return _associated(data, install_id)
    read = _READERS.get(event_type)
    return read(data) if read else None


def customer_of(identifier: Any, install_id: str) -> str | None:
    """The customer whom a user identifier names; None when it is the install's own. Raises Invalid."""
    text = str(identifier).strip() if isinstance(identifier, str | int) and not isinstance(identifier, bool) else ""
    if text == install_id:
        return None
    if identity.identifies_nobody(text):
        raise Invalid(f"The user identifier {identity.NOBODY}.")
    if len(text.lower()) > LONGEST_CUSTOMER_ID or CONTROL.search(text):
        raise Invalid(
            f"The user identifier must have at most {LONGEST_CUSTOMER_ID} characters, and no control characters."
        )
    return text


def of_customer(customer_id: str | None) -> dict[str, Any]:
    """The values of an install that is a customer's, or nobody's that is known."""
    return {"customer_id": customer_id, "person": None if customer_id is None else customer_id.lower()}


def without_token(reason: str) -> dict[str, Any]:
    """The values of an install that no push reaches any more."""
    return {"token": None, "token_type": None, "token_key": None, "token_end_reason": reason}


def _registered(data: Mapping[str, Any], *, plain_http: bool) -> Change:
    push_token = token_of(data.get("type"), data.get("token"), plain_http=plain_http)
    values: dict[str, Any] = {
        "token": push_token.token,
        "token_type": push_token.type,
        "token_key": push_token.key,
        "token_end_reason": "",
        "is_production": _number(data, "iosTokenType", PRODUCTION) == PRODUCTION,
    }
    for member, column in (("bundleId", "bundle_id"), ("package", "package")):
        if data.get(member) is not None:
            values[column] = _app_name(data[member], member)
    if data.get("areNotificationsEnabled") is not None:
        values["notifications_enabled"] = _yes(data, "areNotificationsEnabled")
    return Change(values)


def _associated(data: Mapping[str, Any], install_id: str) -> Change:
    return Change(of_customer(customer_of(data.get("id"), install_id)))


def _cleared(data: Mapping[str, Any]) -> Change:
    old = data.get("oldUserIdentifier")
    return Change(of_customer(None), str(old).strip().lower() if old is not None else None)


def _tracked(data: Mapping[str, Any]) -> Change:
    app, sdk, system, device = (_object(data, member) for member in ("app", "sdk", "os", "device"))
    system_id = _number(system, "id", 0)
    name = _text(device, "name", 300)
    values: dict[str, Any] = {
        "app_version": _text(app, "version", 100),
        "sdk": _named(SDKS, sdk, 100),
        "os": _browser_system(name) if system_id == 0 else _named(SYSTEMS, system, 100),
        "device": name,
        "locale": _text(device, "locale", 35),
        "time_zone": _zone(_text(device, "tz", 64)),
    }
    bundle = _text(app, "bundle", 255)
    if system_id in (IOS, ANDROID) and APP_NAME.fullmatch(bundle):
        values["bundle_id" if system_id == IOS else "package"] = bundle
    return Change(values)


_READERS: dict[str, Callable[[Mapping[str, Any]], Change]] = {
    EventType.INSTALL_TRACKED: _tracked,
    EventType.USER_CLEARED: _cleared,
    EventType.DEVICE_UNSUBSCRIBED: lambda data: Change(without_token(UNSUBSCRIBED)),
    EventType.NOTIFICATIONS_CHANGED: lambda data: Change({"notifications_enabled": _yes(data, "notificationsEnabled")}),
    EventType.IN_APP_STATUS: lambda data: Change({"in_app_consent": _yes(data, "consented")}),
}


def _yes(data: Mapping[str, Any], member: str) -> bool:
    value = data.get(member)
    if not isinstance(value, bool):
        raise Invalid(f"{member} must be true or false.")
    return value


def _number(data: Mapping[str, Any], member: str, default: int) -> int:
    value = data.get(member)
    return value if isinstance(value, int) else default


def _object(data: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    value = data.get(member)
    if not isinstance(value, Mapping | None):
        raise Invalid(f"{member} must be an object.")
    return value or {}


def _text(data: Mapping[str, Any], member: str, longest: int) -> str:
    """A text of what is told about a device, cut where it is longer, without characters of control."""
    value = data.get(member)
    text = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    return CONTROL.sub(" ", text).strip()[:longest]


def _app_name(value: Any, member: str) -> str:
    if not isinstance(value, str) or not APP_NAME.fullmatch(value):
        raise Invalid(f"{member} must be the name of an app, such as com.example.shop.")
    return value


def _named(names: Mapping[int, str], members: Mapping[str, Any], longest: int) -> str:
    """The name of a number with the version beside it."""
    number = _number(members, "id", 0)
    name = names.get(number, str(number) if number else "")
    return f"{name} {_text(members, 'version', longest)}".strip()[:longest]


def _browser_system(user_agent: str) -> str:
    return next((name for word, name in BROWSER_SYSTEMS.items() if word in user_agent), "")


def _zone(name: str) -> str:
    """A time zone that there is; empty for another."""
    try:
        return ZoneInfo(name).key if name else ""
    except (ValueError, OSError, KeyError):
        return ""
