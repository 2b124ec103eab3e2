"""Events that tell details of their customers: put in line with the writes of the API, so that the newest stays."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from rapport.customers import service as customers

SET_EMAIL, UPDATE = "set_email_event", "ootb_user_details_update"
TELLING = (SET_EMAIL, UPDATE)
KIND = "details"


def put_in_line(connection: Connection, tenant_id: int, now: datetime, events: Iterable[Mapping[str, Any]]) -> None:
    """Put what accepted events say in line, in the transaction that stores them; `details` carries it out.

    An event is told by its name (event), origin, customer, visitor and parameters.
    """
    customers.accept(connection, tenant_id, now, KIND, {"items": list(events)})
