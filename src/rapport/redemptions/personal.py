"""What is held of persons who redeemed: an erasure puts a random name in their place, and what was counted stays.

The name is another one for each erasure, so that two that are counted apart never become one.
"""

import uuid
from typing import Any

from sqlalchemy import CursorResult, select, text

from rapport.access.personal_data import Erased, PersonalData
from rapport.access.scope import Scope
from rapport.redemptions.models import PromoCode, Redemption

SHOWN = (
    "id",
    "state",
    "promotion_id",
    "code",
    "customer_id",
    "order_id",
    "campaign_id",
    "tier_name",
    "rewards",
    "currency",
    "created_at",
    "ended_at",
)
FORGET = (
    text("""
        UPDATE redemptions SET customer_id = :stand_in, person = :stand_in, order_id = NULL, request = ''
        WHERE tenant_id = :tenant_id AND person = :person
    """),
    text("UPDATE budget_counters SET person = :stand_in WHERE tenant_id = :tenant_id AND person = :person"),
    text("UPDATE pool_codes SET person = :stand_in WHERE tenant_id = :tenant_id AND person = :person"),
)


def _export(scope: Scope, customer_id: str) -> dict[str, list[Any]]:
    person = customer_id.lower()
    with scope.reads() as session:
        redeemed = session.scalars(
            select(Redemption)
            .where(Redemption.tenant_id == scope.tenant_id, Redemption.person == person)
            .order_by(Redemption.created_at, Redemption.id)
        ).all()
        codes = session.scalars(
            select(PromoCode)
            .where(PromoCode.tenant_id == scope.tenant_id, PromoCode.person == person)
            .order_by(PromoCode.code_key)
        ).all()
    return {
        "redemptions": [{name: getattr(row, name) for name in SHOWN} for row in redeemed],
        "promo_codes": [{"code": row.code, "message_id": row.message_id} for row in codes],
    }


def _erase(scope: Scope, erased: Erased) -> int:
    person = erased.customer_id.lower()
    parameters = {"tenant_id": scope.tenant_id, "person": person, "stand_in": str(uuid.uuid4())}
    with scope.records() as session:
        changed = [session.execute(statement, parameters) for statement in FORGET]
    return sum(result.rowcount for result in changed if isinstance(result, CursorResult))


PERSONAL_DATA = PersonalData(
    "redemptions",
    records={
        "redemptions": ("customer_id", "person"),
        "budget_counters": ("person",),
        "pool_codes": ("person",),
    },
    export=_export,
    erase=_erase,
)
