"""Events as they are sent, into events as they are kept. By hand, since it is done for every event.

What makes an event unusable raises Faulty; what can be left out or put right is a warning of the event.
"""

import math
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from rapport.customers.core_events import AUTOMATIC, CORE_EVENTS
from rapport.customers.identity import NOBODY
from rapport.realtime.events import faults
from rapport.realtime.events.directory import IntakeTenant
from rapport.realtime.events.faults import Fault
from rapport.realtime.events.storing import Incoming
from rapport.realtime.events.visitors import IDS, is_nobody
from rapport.realtime.recording.vendor_words import is_of_message
from rapport.realtime.states import Origin

LONGEST_NAME = LONGEST_ID = 255
LONGEST_TEXT, LONG_TEXT = 4000, 255  # characters that are kept, and that every reader of events takes
MOST_PARAMETERS = 50
# Apps' token is public: names of theirs leave servers and vendors room of their own.
MOST_TYPES, MOST_TYPES_FOR_APPS = 2000, 1000
MOST_WARNINGS = 10
OLDEST = datetime(2000, 1, 1, tzinfo=UTC)
SHORTEST_TIME = len("2026-03-02 14:10")
AHEAD = timedelta(minutes=10)
METRIC_AGE = timedelta(days=7)
# As JSON writes it, which Python reads more than.
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
WHOLE = 2**63  # whole numbers below it, and as many negative ones, fit into 64 bits
SECONDS_OF_HOUR = 3600
UNREADABLE = "\ufffd"  # what stands for bytes that were no character
TENANT_FAULT = "tenantId is missing or invalid"


class Faulty(Exception):
    """An event that cannot be used. reason says why, in words of the sender's members."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def event_of(
    raw: Any,
    origin: str,
    tenant: IntakeTenant,
    now: datetime,
    event_id: str | None = None,
    mended: Sequence[str] = (),
) -> Incoming:
    """An event of a tenant as it is to be kept. mended tells what of it was put right already. Raises Faulty."""
    if not isinstance(raw, dict):
        raise Faulty("the event is not a JSON object")
    named_tenant = raw.get("tenant", raw.get("tenantId"))
    if (named_tenant is not None or origin == Origin.SERVER) and not _names(named_tenant, tenant.scope.tenant_id):
        raise Faulty(TENANT_FAULT)
    warnings = list(mended)
    name = _name(raw.get("event"))
    customer, visitor = _whom(raw, warnings)
    sent = _timestamp(raw.get("timestamp"))
    at = _past(sent, now, warnings)
    if origin == Origin.METRIC:
        _check_metric(raw, at, now)
    parameters = parameters_of(raw.get("context"), _declared(name, tenant, warnings), warnings)
    if name in CORE_EVENTS:
        warnings += faults.of_core_event(name, parameters)
    _leave_out_nobody(name, parameters, warnings)
    warnings += faults.found_by_sdk(raw.get("metadata"))
    own = _own_id(raw.get("metadata"), event_id, warnings)
    hour = int(sent.timestamp()) // SECONDS_OF_HOUR
    _check_room(name, origin, tenant)
    return Incoming(name, origin, at, customer, visitor, parameters, own, hour, warnings[:MOST_WARNINGS], raw)


def _names(number: Any, tenant_id: int) -> bool:
    return isinstance(number, str | int) and str(number) == str(tenant_id)


def _check_room(name: str, origin: str, tenant: IntakeTenant) -> None:
    """Let a name become a type of event as long as there may be more. Raises Faulty."""
    if name in tenant.types or name in CORE_EVENTS or name in tenant.admitted:
        return
    most = MOST_TYPES_FOR_APPS if origin == Origin.SDK else MOST_TYPES
    if len(tenant.types) + len(tenant.admitted) >= most:
        raise Faulty(f"the event is not declared, and there are {most} types of event already")
    tenant.admitted[name] = time.monotonic()


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Faulty("event is missing or invalid")
    name = value.strip()
    if len(name) > LONGEST_NAME or not name.isprintable() or UNREADABLE in name:
        raise Faulty(f"event must be a printable text of at most {LONGEST_NAME} characters")
    return name


def _whom(event: Mapping[str, Any], warnings: list[str]) -> tuple[str, str]:
    """The customer and the visitor that an event names, of whom one may be missing. Raises Faulty."""
    ids, nobody = list[str](), list[str]()
    for member in ("customer", "visitor"):
        named = _identity(event.get(member), member)
        if named and is_nobody(named):
            nobody.append(f"{member} {_quoted(named)} {NOBODY}")
            named = ""
        ids.append(named)
    if not any(ids):
        raise Faulty("; ".join(nobody) or "customer or visitor is missing")
    warnings += [f"{reason}: it was left out" for reason in nobody]
    return ids[0], ids[1]


def _leave_out_nobody(event: str, parameters: dict[str, Any], warnings: list[str]) -> None:
    """Take ids of nobody out of an event that says whose a visitor is: they would make one person of strangers."""
    for name in IDS.get(event, ()):
        value = parameters.get(name)
        if isinstance(value, str) and value and is_nobody(value):
            warning = f"{name} {_quoted(value)} {NOBODY}: it was left out"
            warnings.append(Fault.INVALID_USER_ID.said(warning) if name == "userId" else warning)
            del parameters[name]


def _quoted(text: str) -> str:
    return f"'{text}'"


def _identity(value: Any, member: str) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise Faulty(f"{member} is not a string")
    text = value.strip()
    if len(text) > LONGEST_ID or (text and not text.isprintable()) or UNREADABLE in text:
        raise Faulty(f"{member} must be a printable text of at most {LONGEST_ID} characters")
    return text


def instant(value: Any) -> datetime:
    """A timestamp: 'YYYY-MM-DD HH:MM:SS.ffffff UTC' or ISO 8601; UTC where it names no zone. Raises ValueError."""
    text = value.strip() if isinstance(value, str) else ""
    if text[-3:] == "UTC":
        text = text[:-3].rstrip()
    if len(text) < SHORTEST_TIME:
        raise ValueError(value)
    parsed = datetime.fromisoformat(text)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def _timestamp(value: Any) -> datetime:
    if value is None:
        raise Faulty("timestamp is missing")
    try:
        at = instant(value)
    except (ValueError, OverflowError) as error:
        raise Faulty("timestamp is not a time such as 2026-03-02 14:10:55.120 UTC") from error
    if at < OLDEST:
        raise Faulty(f"timestamp is before {OLDEST:%Y-%m-%d}")
    return at


def _past(at: datetime, now: datetime, warnings: list[str]) -> datetime:
    if at > now + AHEAD:
        warnings.append("timestamp is in the future: the time of receipt was taken")
    return min(at, now)


def _check_metric(event: Mapping[str, Any], at: datetime, now: datetime) -> None:
    if event.get("category") != "metric":
        raise Faulty("category must be 'metric'")
    if at < now - METRIC_AGE:
        raise Faulty(f"timestamp is more than {METRIC_AGE.days} days old")


def check_of_vendor(name: str, tenant: IntakeTenant) -> None:
    """Let vendors bring nothing but what becomes of messages, and what the tenant lets them. Raises Faulty.

    What servers and apps tell fires triggers, and is no business of theirs.
    """
    if name not in tenant.settings.vendor_events and (name in CORE_EVENTS or not is_of_message(name)):
        raise Faulty("the event is no metric of messages, nor one of the tenant's vendor_events")


def _own_id(metadata: Any, fallback: str | None, warnings: list[str]) -> str | None:
    event_id = metadata.get("eventId") if isinstance(metadata, dict) else None
    if event_id is None or event_id == "":
        return fallback
    if not isinstance(event_id, str | int) or len(str(event_id)) > LONGEST_ID:
        warnings.append("metadata.eventId cannot be used, so that repetitions are not noticed")
        return fallback
    return str(event_id)


def _declared(name: str, tenant: IntakeTenant, warnings: list[str]) -> dict[str, str] | None:
    """The types of the parameters of a declared event; None for one that is not."""
    if name in tenant.declared:
        return tenant.types[name]
    core = CORE_EVENTS.get(name)
    if core is not None:
        return core.parameters
    warnings.append(Fault.UNKNOWN_EVENT.said("the event is not declared"))
    return None


def parameters_of(context: Any, declared: Mapping[str, str] | None, warnings: list[str]) -> dict[str, Any]:
    """The parameters of an event as they are kept; declared are their types, None for an event that is not declared."""
    if context is None:
        return {}
    if not isinstance(context, dict):
        warnings.append("context is not a JSON object: it was left out")
        return {}
    kept: dict[str, Any] = {}
    for name, value in context.items():
        if value is None:
            continue
        if len(kept) == MOST_PARAMETERS:
            warning = f"there are more than {MOST_PARAMETERS} parameters: the others were left out"
            warnings.append(Fault.TOO_MANY_PARAMETERS.said(warning))
            break
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            warnings.append("a parameter's name cannot be used: it was left out")
            continue
        _keep(kept, name, value, declared, warnings)
    return kept


def _keep(kept: dict[str, Any], name: str, value: Any, declared: Mapping[str, str] | None, warnings: list[str]) -> None:
    if isinstance(value, str):
        value = _text(name, value, warnings)
    elif isinstance(value, float) and not _kept(name, value, warnings):
        return
    elif not isinstance(value, bool | int | float):
        warnings.append(Fault.WRONG_TYPE.said(f"{name} is not a string, number or boolean: it was left out"))
        return
    if declared is not None:
        kind = declared.get(name) or AUTOMATIC.get(name)
        if kind is None:
            warnings.append(Fault.UNKNOWN_PARAMETER.said(f"{name} is not declared"))
        else:
            value = _typed(name, value, kind, warnings)
    kept[name] = value


def _kept(name: str, value: float, warnings: list[str]) -> bool:
    """Whether a number can be kept. A whole one beyond 64 bits was read as the nearest that can be."""
    if not math.isfinite(value):
        warnings.append(f"{name} is no number that can be kept: it was left out")
        return False
    if abs(value) >= WHOLE:
        warnings.append(f"{name} is beyond 64 bits: its last digits may be lost")
    return True


def _text(name: str, value: str, warnings: list[str]) -> str:
    if "\0" in value:
        warnings.append(f"{name} contains a character U+0000, which was replaced")
        value = value.replace("\0", "\ufffd")
    if len(value) > LONGEST_TEXT:
        warning = f"{name} is longer than {LONGEST_TEXT} characters: the rest was left out"
        warnings.append(Fault.LONG_TEXT.said(warning))
        value = value[:LONGEST_TEXT]
    elif len(value) > LONG_TEXT:
        warnings.append(f"{name} is longer than {LONG_TEXT} characters")
    return value


def _typed(name: str, value: Any, kind: str, warnings: list[str]) -> Any:
    """A value as its declared type, if it can be read as one; as it was given otherwise."""
    if kind == "String":
        fits = isinstance(value, str)
        changed = value if fits else str(value).lower() if isinstance(value, bool) else str(value)
    elif kind == "Number":
        fits = not isinstance(value, str | bool)
        changed = value if fits else _number(value)
    else:
        fits = isinstance(value, bool)
        changed = value if fits else {"true": True, "false": False}.get(str(value).lower(), value)
    if not fits and not (name in AUTOMATIC and isinstance(changed, bool)):  # pages say "false", as a text
        warnings.append(Fault.WRONG_TYPE.said(f"{name} is not a {kind}"))
    return changed


def _number(value: Any) -> Any:
    """The number that a text is, as it was given if it is none or a whole one that would lose digits."""
    if not isinstance(value, str) or not NUMBER.fullmatch(value):
        return value
    near = float(value)
    if not near.is_integer():
        return near if math.isfinite(near) else value
    if abs(near) > WHOLE:
        return value
    exact = Decimal(value)
    whole = int(exact)
    if whole != exact:
        return near
    return whole if -WHOLE <= whole < WHOLE else value
