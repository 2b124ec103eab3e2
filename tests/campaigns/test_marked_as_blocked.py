"""An attribute that a tenant has marked as one that forbids to write keeps its customers out of every campaign."""

import pytest
from campaign_tenant import (
    DATA_DATE,
    EXTERNAL,
    NOW,
    TODAY,
    add_action,
    add_channels,
    add_group,
    add_profiles,
    add_series,
    customer,
    group,
    outcomes,
    publish,
    recipients,
)

from rapport.access.scope import Scope
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.customers import attributes, consent_marks
from rapport.customers.attributes import AttributeInfo

KINDS = [("Nvarchar", ["ja", "Nein", "since May", None]), ("Bigint", [1, 0, 2, None])]


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Scope:
    scope.clock.set(NOW)
    publish(scope)
    add_channels(scope)
    add_action(scope)
    return scope


@pytest.mark.parametrize(("field_type", "said"), KINDS)
def test_a_mark_of_the_tenants_own_keeps_off(tenant: Scope, field_type: str, said: list[object]) -> None:
    name, place = f"LEFT_{field_type.upper()}", KINDS.index((field_type, said))
    attributes.declare(tenant, [AttributeInfo(name, name, "", field_type, "batch")])
    consent_marks.mark(tenant, name, "blocked")
    people = [f"C{place * 10 + n:05d}" for n in range(4)]
    add_profiles(tenant, [customer(place * 10 + n, COUNTRY=field_type) for n in range(4)])
    for who, value in zip(people, said, strict=True):
        if value is not None:
            sql = f"ALTER TABLE profiles UPDATE {name} = {{v:String}} WHERE customer_id = {{c:String}}"
            tenant.warehouse.execute(sql, v=str(value), c=who)
    target = add_group(tenant, field_type, field_type)
    made = add_series(tenant, target, [group(2, (EXTERNAL, 1))], rules={"include_all": True}, control_share=0.0)
    number = plan_next_run(tenant, made.id, TODAY)
    processing.prepare_members(tenant, number, DATA_DATE)
    processing.process(tenant, number, DATA_DATE)
    assert [row[0] for row in recipients(tenant, number)] == [people[1], people[3]]
    assert outcomes(tenant, number) == [(who, 0, "excluded", "blocked") for who in (people[0], people[2])]
