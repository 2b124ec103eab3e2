"""What customers' events say of the customers themselves: e-mail addresses and other details, into their attributes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.customers import identity
from rapport.customers.models import AttributeJob
from rapport.customers.privacy import anonymisation
from rapport.customers.writes import attribute_writes
from rapport.customers.writes.attribute_writes import CustomerValues, Fault
from rapport.realtime.events.event_log import warn
from rapport.realtime.events.owners import owners
from rapport.realtime.recording.profile_queue import SET_EMAIL, UPDATE, tells
from rapport.realtime.settings import EventSettings
from rapport.realtime.states import Origin

PREFIX = "ootb_"
# Where the standard event's name is another than the attribute's.
RENAMED = {"IS_MOBILE_VERIFIED": "IS_SMS_VERIFIED"}
# What people say of themselves; the rest (blocked, verified, status and so on) is what the company says of them.
OWN_DETAILS = frozenset(
    PREFIX + name
    for name in (
        "email",
        "mobile_number",
        "date_of_birth",
        "allow_email",
        "allow_sms",
        "allow_push",
        "allow_whatsapp",
        "gender",
        "country",
        "city",
        "address",
        "first_name",
        "last_name",
        "language",
        "alias",
    )
)


def overwrite(scope: Scope, jobs: Sequence[AttributeJob]) -> list[None]:
    """Write details into attributes, but for those that were told of a later time. Call it under customers.writing.

    A visitor's are of whoever it was at the time of the event, when that is known by now. A server's event makes a
    customer who is not known yet. Of an app, whose token is public, nothing is written but the address of a customer
    who has none, where the tenant lets apps tell it, unless the app proved that its user is the customer: then what
    people say of themselves. Of a vendor nothing at all.
    """
    fills = tenant_settings(scope, EventSettings).apps_change_customers
    events = [event for job in jobs for event in _events(job) if _may_tell(event, fills)]
    with scope.records() as session:
        owned = owners(scope, session, (event["visitor"] for event in events if not event["customer"]))
    attributed = [
        event | {"customer": event["customer"] or owned.at(event["visitor"], event["at"])} for event in events
    ]
    items = [_item(event) for event in attributed if event["customer"]]
    faults = attribute_writes.overwrite(scope, [item for item in items if item.values])
    if faults:
        with scope.records() as session:
            _warn_of_faults(scope, session, attributed, faults)
    return [None] * len(jobs)


def _events(job: AttributeJob) -> list[dict[str, Any]]:
    """The events of a job; those that were accepted before their times were kept are of when they were."""
    events = (job.payload or {})["items"]
    return [
        event | {"at": datetime.fromisoformat(event["at"]) if "at" in event else job.created_at} for event in events
    ]


def _may_tell(event: Mapping[str, Any], apps_fill: bool) -> bool:
    if event["origin"] == Origin.SDK and not event.get("verified"):
        return apps_fill and event["event"] == SET_EMAIL
    return tells(event["event"], event["origin"])


def _item(event: Mapping[str, Any]) -> CustomerValues:
    parameters = event["parameters"]
    if event["origin"] == Origin.SDK:
        parameters = {name: value for name, value in parameters.items() if name == "email" or name in OWN_DETAILS}
    values = _email(parameters) if event["event"] == SET_EMAIL else _details(parameters)
    by_server = event["origin"] == Origin.SERVER
    makes = by_server and event["event"] == UPDATE
    fills = not (by_server or event.get("verified", False))
    return CustomerValues(event["customer"], values, makes, event["at"], fills)


def _email(parameters: Mapping[str, Any]) -> dict[str, Any]:
    email = parameters.get("email")
    is_usable = isinstance(email, str) and ("@" in email or identity.says_nothing(email))
    return {"EMAIL": email} if is_usable else {}


def _details(parameters: Mapping[str, Any]) -> dict[str, Any]:
    named = {
        anonymisation.attribute_named(name): value for name, value in parameters.items() if name.startswith(PREFIX)
    }
    return {RENAMED.get(name, name): _flag(value) for name, value in named.items()}


def _flag(value: Any) -> Any:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return value


def _warn_of_faults(
    scope: Scope, session: Session, events: Iterable[Mapping[str, Any]], faults: Sequence[Fault]
) -> None:
    wrong: dict[str, list[str]] = {}
    for fault in faults:
        wrong.setdefault(fault.customer_id, []).append(_worded(fault))
    for event in {event["customer"]: event for event in events}.values():
        if event["customer"] in wrong:
            warn(scope, session, event["origin"], event["event"], event["customer"], wrong[event["customer"]], "")


def _worded(fault: Fault) -> str:
    reason = "says nothing: what is known stays" if fault.nothing else "cannot have this value"
    reason = "is known already: an app replaces no address" if fault.already_known else reason
    return f"{fault.real_field_name} {reason}"


def warn_of_nothing(scope: Scope, event: str, faults: Sequence[Fault]) -> None:
    """Log values of one customer that say nothing, which a call of the API brought."""
    with scope.records() as session:
        warn(scope, session, Origin.SERVER, event, faults[0].customer_id, map(_worded, faults), "")
