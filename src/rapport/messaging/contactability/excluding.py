"""Excluding customers from marketing until an instant, or for good, and lifting that: see exclusions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access import kept
from rapport.access.pseudonyms import pseudonyms
from rapport.access.scope import Scope
from rapport.channels import addresses as channel_addresses
from rapport.customers.privacy import persons as customer_persons
from rapport.customers.writes import attribute_writes
from rapport.errors import Invalid, NotFound
from rapport.messaging.contactability import suppressed_addresses
from rapport.messaging.contactability.exclusions import EXCLUDED, STANDS, keys_of
from rapport.messaging.contactability.suppressions import MAX_CUSTOMER_ID
from rapport.messaging.models import ERASED, EVERY_CHANNEL, ExclusionReason

LONGEST_ACTOR = 200
# One that ends no later than another that stands adds nothing. In order of the key, so that two callers with the same
# customers wait for each other and never lock up.
EXCLUDE = text(f"""
    INSERT INTO exclusions (tenant_id, customer_key, begins_at, customer_id, ends_at, reason, made_by)
    SELECT :tenant_id, named.key, :begins_at, named.id, named.ends_at, :reason, :made_by
    FROM unnest(CAST(:keys AS text[]), CAST(:ids AS text[]), CAST(:ends AS timestamptz[])) AS named (key, id, ends_at)
    WHERE NOT EXISTS (
        SELECT 1 FROM exclusions
        WHERE exclusions.tenant_id = :tenant_id AND exclusions.customer_key = named.key AND {STANDS}
            AND (exclusions.ends_at IS NULL OR exclusions.ends_at >= named.ends_at)
    )
    ORDER BY named.key
    ON CONFLICT (tenant_id, customer_key, begins_at) DO UPDATE SET ends_at = excluded.ends_at,
        reason = excluded.reason, made_by = excluded.made_by, lifted_at = NULL, lifted_by = ''
    RETURNING customer_key
""")  # noqa: S608 - constants only
LIFT = text(f"""
    UPDATE exclusions SET lifted_at = :now, lifted_by = :lifted_by
    WHERE tenant_id = :tenant_id AND customer_key = ANY(CAST(:keys AS text[])) AND {STANDS}
    RETURNING customer_key
""")  # noqa: S608 - constants only


def exclude(scope: Scope, ends: Mapping[str, datetime | None], reason: ExclusionReason) -> int:
    """Send customers no marketing on any channel until an instant each (None: for good); for how many that is new.

    A customer who is excluded for longer already stays so, for nobody's exclusion is cut short by another. Customers
    need not be known. Raises Invalid for an id that cannot be one, and an end that is not to come.
    """
    ends_by_id = _checked(scope, ends)
    named = _named(scope, {customer_id.lower(): customer_id for customer_id in ends})
    with scope.records() as session:
        new = _add(scope, session, reason, named, list(ends_by_id.values()))
        if new:
            listed = [named[key] for key in new if named[key] != ERASED]
            suppressed_addresses.keep(scope, session, (EVERY_CHANNEL, ""), EXCLUDED, listed)
            scope.audit(session, "exclude", "customers from marketing", reason=reason, customers=len(new))
    return len(new)


def _checked(scope: Scope, ends: Mapping[str, datetime | None]) -> dict[str, datetime | None]:
    """The ends by id in lower case. Raises Invalid."""
    now, mail = scope.clock.now(), []
    for customer_id, ends_at in ends.items():
        if not customer_id.strip() or len(customer_id.lower()) > MAX_CUSTOMER_ID:
            raise Invalid(f"customer_id must have 1 to {MAX_CUSTOMER_ID} characters.")
        if ends_at is not None and ends_at <= now:
            raise Invalid("ends_at must be in the future; without it, the exclusion is for good.")
        if channel_addresses.is_email_address(customer_id.strip()):
            mail.append(customer_id)
    if len(attribute_writes.spellings(scope, mail)) < len({customer_id.lower() for customer_id in mail}):
        raise Invalid("customer_id is an e-mail address and not a customer's ID: an exclusion is of a customer.")
    by_key: dict[str, datetime | None] = {}
    for customer_id, ends_at in ends.items():
        key = customer_id.lower()
        earlier = by_key.get(key, ends_at)
        by_key[key] = None if earlier is None or ends_at is None else max(earlier, ends_at)
    return by_key


def _named(scope: Scope, ids: Mapping[str, str]) -> dict[str, str]:
    """The keys of customers, by id in lower case, with their ids as they are spelled; of erased persons pseudonyms."""
    spelled, erased = attribute_writes.spellings(scope, ids.values()), customer_persons.erased_among(scope, list(ids))
    named: dict[str, str] = {}
    for (key, customer_id), person in zip(ids.items(), pseudonyms(scope, ids), strict=True):
        named[person if key in erased else key] = ERASED if key in erased else spelled.get(key, customer_id)
    return named


def _add(
    scope: Scope,
    session: Session,
    reason: ExclusionReason,
    named: Mapping[str, str],
    ends: Sequence[datetime | None],
) -> list[str]:
    """Add exclusions by key of the customer, with their ends; the keys of those that are new."""
    now = scope.clock.now()
    parameters = {
        "tenant_id": scope.tenant_id,
        "keys": list(named),
        "ids": list(named.values()),
        "ends": list(ends),
        "begins_at": now,
        "now": now,
        "reason": reason,
        "made_by": scope.actor[:LONGEST_ACTOR],
    }
    new = list(session.scalars(EXCLUDE, parameters))
    by_key = dict(zip(named, ends, strict=True))
    named_keys = [key for key in new if named[key] != ERASED]
    persons = dict(zip(named_keys, pseudonyms(scope, named_keys), strict=True))
    marks = [[persons.get(key, key), ends_at.isoformat() if (ends_at := by_key[key]) else None] for key in new]
    why = {"reason": reason, "begins": now.isoformat(), "by": parameters["made_by"]}
    if marks:
        kept.keep_wish(scope, kept.EXCLUDE, why, marks)
    return new


def lift(scope: Scope, customer_id: str) -> None:
    """Let marketing go to a customer again, whatever exclusions stand. Raises NotFound when none does."""
    keys = keys_of(scope, customer_id)
    parameters: dict[str, Any] = {"tenant_id": scope.tenant_id, "keys": keys, "now": scope.clock.now()}
    with scope.records() as session:
        lifted = list(session.scalars(LIFT, {**parameters, "lifted_by": scope.actor[:LONGEST_ACTOR]}))
        if not lifted:
            raise NotFound(f"Customer {customer_id} is not excluded from marketing.")
        kept.keep_wish(scope, kept.LIFT, {"by": scope.actor[:LONGEST_ACTOR]}, keys[1:])
        suppressed_addresses.forgo(scope, session, (EVERY_CHANNEL, ""), EXCLUDED, keys)
        scope.audit(session, "lift exclusion", "customers from marketing", customers=1)
