"""What customers' events say of the customers themselves: e-mail addresses and other details, into their attributes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.customers import service as customers
from rapport.realtime.events.eventlog import warn
from rapport.realtime.events.owners import owners
from rapport.realtime.recording.telling import SET_EMAIL, UPDATE, tells
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


def overwrite(scope: Scope, jobs: Sequence[customers.AttributeJob]) -> list[None]:
    """Write details into attributes, but for those that were told of a later time. Call it under customers.writing.

    A visitor's are of whoever it was at the time of the event, when that is known by now. A server's event makes a
    customer who is not known yet. Of an app, whose token is public, nothing is written but the address of a customer
    who has none, where the tenant lets apps tell it, unless the app proved that its user is the customer: then what
    people say of themselves. Of a vendor nothing at all.
    """
    fills = tenant_settings(scope, EventSettings).apps_change_customers
    events = [one for job in jobs for one in _events(job) if _may_tell(one, fills)]
    with scope.records() as session:
        known = owners(scope, session, (one["visitor"] for one in events if not one["customer"]))
    told = [one | {"customer": one["customer"] or known.at(one["visitor"], one["at"])} for one in events]
    items = [_item(one) for one in told if one["customer"]]
    faults = customers.overwrite(scope, [item for item in items if item.values])
    if faults:
        with scope.records() as session:
            _tell(scope, session, told, faults)
    return [None] * len(jobs)


def _events(job: customers.AttributeJob) -> list[dict[str, Any]]:
    """The events of a job; those that were accepted before their times were kept are of when they were."""
    events = (job.payload or {})["items"]
    return [one | {"at": datetime.fromisoformat(one["at"]) if "at" in one else job.created_at} for one in events]


def _may_tell(one: Mapping[str, Any], apps_fill: bool) -> bool:
    if one["origin"] == Origin.SDK and not one.get("verified"):
        return apps_fill and one["event"] == SET_EMAIL
    return tells(one["event"], one["origin"])


def _item(one: Mapping[str, Any]) -> customers.CustomerValues:
    told = one["parameters"]
    if one["origin"] == Origin.SDK:
        told = {name: value for name, value in told.items() if name == "email" or name in OWN_DETAILS}
    values = _email(told) if one["event"] == SET_EMAIL else _details(told)
    by_server = one["origin"] == Origin.SERVER
    makes = by_server and one["event"] == UPDATE
    fills = not (by_server or one.get("verified", False))
    return customers.CustomerValues(one["customer"], values, makes, one["at"], fills)


def _email(parameters: Mapping[str, Any]) -> dict[str, Any]:
    given = parameters.get("email")
    told = isinstance(given, str) and ("@" in given or customers.says_nothing(given))
    return {"EMAIL": given} if told else {}


def _details(parameters: Mapping[str, Any]) -> dict[str, Any]:
    named = {customers.attribute_named(name): value for name, value in parameters.items() if name.startswith(PREFIX)}
    return {RENAMED.get(name, name): _flag(value) for name, value in named.items()}


def _flag(value: Any) -> Any:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return value


def _tell(
    scope: Scope, session: Session, events: Iterable[Mapping[str, Any]], faults: Sequence[customers.Fault]
) -> None:
    wrong: dict[str, list[str]] = {}
    for fault in faults:
        wrong.setdefault(fault.customer_id, []).append(_worded(fault))
    for one in {one["customer"]: one for one in events}.values():
        if one["customer"] in wrong:
            warn(scope, session, one["origin"], one["event"], one["customer"], wrong[one["customer"]], "")


def _worded(fault: customers.Fault) -> str:
    reason = "says nothing: what is known stays" if fault.nothing else "cannot have this value"
    reason = "is known already: an app replaces no address" if fault.already_known else reason
    return f"{fault.real_field_name} {reason}"


def warn_of_nothing(scope: Scope, event: str, faults: Sequence[customers.Fault]) -> None:
    """Log values of one customer that say nothing, which a call of the API brought."""
    with scope.records() as session:
        warn(scope, session, Origin.SERVER, event, faults[0].customer_id, map(_worded, faults), "")
