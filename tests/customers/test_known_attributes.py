"""Attributes are kept from one reading to the next, and every change is seen by the next, whoever makes it."""

from sqlalchemy import delete, update

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.access.service import create_tenant
from rapport.customers import attributes
from rapport.customers.attributes import AttributeInfo
from rapport.customers.models import Attribute

PLAN = AttributeInfo("PLAN", "Plan", "What they pay for", "Varchar", "api")


def stored(scope: Scope, **changes: object) -> None:
    """Change the row of PLAN as another process would."""
    with scope.records() as session:
        mine = (Attribute.tenant_id == scope.tenant_id, Attribute.real_field_name == "PLAN")
        session.execute(update(Attribute).where(*mine).values(**changes) if changes else delete(Attribute).where(*mine))


def test_each_change_is_seen_by_the_next_reading(scope: Scope) -> None:
    before = attributes.attributes(scope)
    assert "PLAN" not in before
    attributes.declare(scope, [PLAN])
    assert attributes.attributes(scope) == before | {"PLAN": PLAN}
    stored(scope, alias="Subscription")
    assert attributes.attributes(scope)["PLAN"].alias == "Subscription"
    stored(scope, alias="Plan")
    assert attributes.attributes(scope)["PLAN"] == PLAN
    stored(scope, consent="permission")
    consent = attributes.attributes(scope)["PLAN"].consent
    assert consent is not None and "jazeker" not in consent.yes
    with scope.records() as session:
        settings = {"consent": {"yes": ["jazeker"]}}
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings=settings))
    again = attributes.attributes(scope_of(scope.stores, scope.tenant_id))["PLAN"].consent
    assert again is not None and "jazeker" in again.yes
    stored(scope)
    assert "PLAN" not in attributes.attributes(scope)


def test_what_is_given_out_may_be_changed_and_is_of_one_tenant(scope: Scope) -> None:
    other = create_tenant(scope.stores, "another", "UTC", "EUR")
    attributes.declare(other, [PLAN])
    given = attributes.attributes(other)
    given.clear()
    assert "PLAN" in attributes.attributes(other) and "PLAN" not in attributes.attributes(scope)
