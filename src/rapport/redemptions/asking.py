"""What is asked of redemptions: a customer redeems a code, which leads to a promotion."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson

from rapport.promotions.codes import code_key


@dataclass(frozen=True)
class Request:
    """What is asked: a customer redeems a code. session has the values of session properties.

    reserved_for: reserve it only, for so long. order_id names what the customer buys.
    """

    idempotency_key: str
    code: str
    customer_id: str
    session: Mapping[str, Any] = field(default_factory=dict)
    reserved_for: timedelta | None = None
    order_id: str | None = None
    campaign_id: int | None = None

    @property
    def digest(self) -> str:
        """What two requests with the same key must have in common."""
        seconds = self.reserved_for.total_seconds() if self.reserved_for else None
        asked = [code_key(self.code), self.customer_id.lower(), self.session, seconds, self.order_id, self.campaign_id]
        return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True)
class Target:
    """What a code leads to. pool_id is None for the own code of a promotion."""

    code: str
    promotion_id: str
    pool_id: str | None = None
    is_unique: bool = False
