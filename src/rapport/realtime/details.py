"""What customers' events say of the customers themselves: e-mail addresses and other details, into their attributes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.customers import service as customers
from rapport.realtime.eventlog import warn
from rapport.realtime.models import SDK, SERVER
from rapport.realtime.settings import settings_of
from rapport.realtime.telling import SET_EMAIL, UPDATE
from rapport.realtime.visitors import customer_of

PREFIX = "ootb_"
# Where the standard event's name is another than the attribute's.
RENAMED = {"IS_MOBILE_VERIFIED": "IS_SMS_VERIFIED"}


def overwrite(scope: Scope, jobs: Sequence[customers.AttributeJob]) -> list[None]:
    """Write details into attributes, the latest event last. Call it under customers.writing.

    A visitor's are its customer's, when it is known by now. A server's event makes a customer who is not known yet;
    an app's never does.
    """
    apps = settings_of(scope).apps_change_customers
    events = [one for job in jobs for one in (job.payload or {})["items"] if apps or one["origin"] != SDK]
    with scope.records() as session:
        known = customer_of(session, scope, (one["visitor"] for one in events if not one["customer"]))
    told = [one | {"customer": one["customer"] or known.get(one["visitor"], "")} for one in events]
    items = [_item(one) for one in told if one["customer"]]
    faults = customers.overwrite(scope, [item for item in items if item.values])
    if faults:
        with scope.records() as session:
            _tell(scope, session, told, faults)
    return [None] * len(jobs)


def _item(one: Mapping[str, Any]) -> customers.Overwriting:
    values = _email(one["parameters"]) if one["event"] == SET_EMAIL else _details(one["parameters"])
    return customers.Overwriting(one["customer"], values, one["origin"] == SERVER and one["event"] == UPDATE)


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
    return f"{fault.real_field_name} {reason}"


def warn_of_nothing(scope: Scope, event: str, faults: Sequence[customers.Fault]) -> None:
    """Log values of one customer that say nothing, which a call of the API brought."""
    with scope.records() as session:
        warn(scope, session, SERVER, event, faults[0].customer_id, map(_worded, faults), "")
