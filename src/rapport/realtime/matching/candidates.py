"""Whom a trigger may go to: people whose events have met it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rapport.realtime.matching.catalogue import Trigger


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trigger that a person's events have met. customer_id is the visitor id when is_visitor."""

    trigger: Trigger
    person: str
    customer_id: str
    is_visitor: bool
    event_key: str
    parameters: Mapping[str, Any]
