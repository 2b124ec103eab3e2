"""Events that tell details of their customers: put in line with the writes of the API, so that the newest stays."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from rapport.customers.writes import ordering
from rapport.realtime.states import Origin

SET_EMAIL, UPDATE = "set_email_event", "ootb_user_details_update"
TELLING = (SET_EMAIL, UPDATE)
KIND = "details"


def tells(event: str, origin: str) -> bool:
    """Whether an event tells details of its customer; a vendor's, who reports of messages only, never does."""
    return event in TELLING and origin != Origin.METRIC


def put_in_line(connection: Connection, tenant_id: int, now: datetime, events: Iterable[Mapping[str, Any]]) -> None:
    """Put what accepted events say in line, in the transaction that stores them; `details` carries it out.

    An event is told by its name (event), origin, customer, visitor, parameters and its time (at, ISO 8601);
    verified says whether an app proved that its user is the customer.
    """
    ordering.accept(connection, tenant_id, now, KIND, {"items": list(events)})
