"""Validation: which tier of a promotion customers reach, and what it grants them.

The promotion's own conditions come first, then the tiers in order of priority; the first tier whose conditions are met
decides. Nothing is counted or changed by it. Many customers are read in one set-based statement, few of them by key;
both give the same answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rapport.access.scope import Scope
from rapport.audiences import facts as known
from rapport.errors import Invalid
from rapport.promotions import batches
from rapport.promotions.deciding import Context, Decision, Validator, validator
from rapport.promotions.editing import promotion, promotion_of_code
from rapport.promotions.properties import checked_values
from rapport.promotions.states import Refusal

MOST_CONTEXTS = 10_000
# Up to so many customers are read by key.
FEW = 20


def validate_customers(scope: Scope, id: str, contexts: Sequence[Context]) -> tuple[Validator, list[Decision]]:
    """What a promotion decides about each context, in order. Raises NotFound, Conflict, Invalid."""
    return _validated(scope, validator(scope, promotion(scope, id)), contexts)


def validate_code(scope: Scope, code: str, contexts: Sequence[Context]) -> tuple[Validator, list[Decision]]:
    """The same for the promotion of a code. Raises NotFound, Conflict, Invalid."""
    return _validated(scope, validator(scope, promotion_of_code(scope, code)), contexts)


def _validated(scope: Scope, validator: Validator, contexts: Sequence[Context]) -> tuple[Validator, list[Decision]]:
    if not 1 <= len(contexts) <= MOST_CONTEXTS:
        raise Invalid(f"contexts must have 1 to {MOST_CONTEXTS} customers, not {len(contexts)}.")
    checked = [_checked(context, validator, place) for place, context in enumerate(contexts)]
    decided: dict[int, Decision] = {}
    if len(checked) > FEW:
        decided = batches.decided(scope, validator, checked)
    rest = {place: context for place, context in enumerate(checked) if place not in decided}
    decided |= _by_key(scope, validator, rest)
    return validator, [decided[place] for place in range(len(checked))]


def _checked(context: Context, validator: Validator, place: int) -> Context:
    path = f"contexts[{place}].sessionProperties"
    return replace(context, session=checked_values(context.session, validator.properties.session, path))


def facts_of(scope: Scope, validator: Validator, customer_ids: Sequence[str]) -> dict[str, known.KnownCustomer]:
    """What is known of a few customers, by their id in lower case; others are not loaded."""
    return known.load(
        scope, validator.schema, scope.data_date(), customer_ids, validator.needs(), validator.schema.today
    )


def _by_key(scope: Scope, validator: Validator, contexts: Mapping[int, Context]) -> dict[int, Decision]:
    customers = facts_of(scope, validator, [context.customer_id for context in contexts.values()])
    return {place: _one(validator, context, customers) for place, context in contexts.items()}


def _one(validator: Validator, context: Context, customers: Mapping[str, known.KnownCustomer]) -> Decision:
    customer = customers[context.customer_id.lower()]
    if not customer.loaded:
        return Decision(context.customer_id, None, reason=Refusal.UNKNOWN_CUSTOMER)
    facts = replace(customer.facts, attributes={**customer.facts.attributes, **validator.attributes(context)})
    return replace(validator.decided(facts), customer_id=context.customer_id)
