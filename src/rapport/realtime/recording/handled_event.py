"""A handled event on its way to the warehouse."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(slots=True)
class FiledEvent:
    """As it was accepted; customer_id is in the warehouse's spelling, and that of the visitor when it is known."""

    seq: int
    key: UUID
    event: str
    origin: str
    customer_id: str
    visitor_id: str
    parameters: dict[str, Any]
    event_at: datetime
