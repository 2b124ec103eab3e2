"""Unique promo codes in event 11: each customer has a code of its own, and nobody is told of without one."""

import trigger_world as world
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.redemptions import bulk, pools
from rapport.redemptions.definitions import CreatePool

CODES = 3
TAKEN = text("""
    SELECT pool_codes.code, pool_codes.person FROM pool_codes
    JOIN messages ON messages.tenant_id = pool_codes.tenant_id AND messages.message_id = pool_codes.message_id
    WHERE pool_codes.tenant_id = :tenant_id AND messages.state = 'sent'
""")


def test_event_11_has_the_customers_own_code(scope: Scope) -> None:
    world.fill(scope)
    pools.create_pool(scope, CreatePool.model_validate({"id": "letters", "name": "Letters", "type": "unique"}))
    bulk.generate(scope, "letters", CODES, 10)
    group = {
        "action_id": 2,
        "promo_codes": ["letters", "PLAIN"],
        "channels": [{"channel_id": world.SMS, "template_id": world.TEMPLATE}],
    }
    series = world.trigger(scope, groups=[group])
    for number in range(CODES + 1):
        world.event(scope, "add_to_cart", f"C{number}")
    world.process(scope)
    told = {payload["customerID"].lower(): payload["promoCode"] for payload in world.told(scope, series)}
    with scope.reads() as session:
        taken = {person: code for code, person in session.execute(TAKEN, {"tenant_id": scope.tenant_id})}
    assert told == {person: [code, "PLAIN"] for person, code in taken.items()}
    assert len(told) == len({code for code, _ in told.values()}) == CODES
    (without,) = {f"C{number}" for number in range(CODES + 1)} - {person.upper() for person in told}
    outcomes = {customer: (outcome, reason) for customer, outcome, reason in world.fired(scope, series)}
    assert outcomes.pop(without) == ("failed", "no promo code left")
    assert set(outcomes.values()) == {("sent", "")} and len(outcomes) == CODES
    world.file(scope)
    filed = scope.warehouse.rows("SELECT customer_id, promo_code FROM campaign_recipients WHERE promo_code != ''")
    assert {str(who).lower(): str(codes).split(",") for who, codes in filed} == told | {
        without.lower(): ["letters", "PLAIN"]
    }
