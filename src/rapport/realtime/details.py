"""What customers' events say of the customers themselves: e-mail addresses and other details, into their attributes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.customers import service as customers
from rapport.realtime.eventlog import warn
from rapport.realtime.filed import Filed
from rapport.realtime.models import SDK, SERVER
from rapport.realtime.settings import settings_of

SET_EMAIL, UPDATE = "set_email_event", "ootb_user_details_update"
PREFIX = "ootb_"
# Where the standard event's name is another than the attribute's.
RENAMED = {"IS_MOBILE_VERIFIED": "IS_SMS_VERIFIED"}


def overwrite(scope: Scope, events: Sequence[Filed]) -> None:
    """Write details into attributes, the latest event last. Call it under customers.writing.

    A server's event makes a customer who is not known yet; an app's never does.
    """
    apps = settings_of(scope).apps_change_customers
    telling = [one for one in events if one.customer_id and one.event in (SET_EMAIL, UPDATE)]
    telling = [one for one in telling if apps or one.origin != SDK]
    if not telling:
        return
    items = [_item(one) for one in telling]
    faults = customers.overwrite(scope, [item for item in items if item.values])
    if faults:
        with scope.records() as session:
            _tell(scope, session, telling, faults)


def _item(one: Filed) -> customers.Overwriting:
    values = _email(one.parameters) if one.event == SET_EMAIL else _details(one.parameters)
    return customers.Overwriting(one.customer_id, values, one.origin == SERVER and one.event == UPDATE)


def _email(parameters: Mapping[str, Any]) -> dict[str, Any]:
    given = parameters.get("email")
    return {"EMAIL": given} if isinstance(given, str) and "@" in given else {}


def _details(parameters: Mapping[str, Any]) -> dict[str, Any]:
    named = {customers.attribute_named(name): value for name, value in parameters.items() if name.startswith(PREFIX)}
    return {RENAMED.get(name, name): _flag(value) for name, value in named.items()}


def _flag(value: Any) -> Any:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return value


def _tell(scope: Scope, session: Session, events: Iterable[Filed], faults: Sequence[customers.Fault]) -> None:
    wrong: dict[str, list[str]] = {}
    for fault in faults:
        wrong.setdefault(fault.customer_id, []).append(f"{fault.real_field_name} cannot have this value")
    for one in {one.customer_id: one for one in events}.values():
        if one.customer_id in wrong:
            warn(scope, session, one.origin, one.event, one.customer_id, wrong[one.customer_id], "")
