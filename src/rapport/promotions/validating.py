"""Validation: which tier of a promotion customers reach, and what it grants them.

The promotion's own conditions come first, then the tiers in order of priority; the first tier whose conditions are met
decides. Nothing is counted or changed by it. Many customers are read in one set-based statement, few of them by key;
both give the same answer.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from rapport.access.scope import Scope
from rapport.audiences import facts as known
from rapport.conditions import Facts
from rapport.errors import Invalid, RapportError
from rapport.promotions import batches
from rapport.promotions.deciding import Context, Decision, Validator, basis, validator
from rapport.promotions.editing import promotion
from rapport.promotions.evaluation import CompiledTree
from rapport.promotions.models import Promotion
from rapport.promotions.properties import checked_values, fitting_values
from rapport.promotions.states import Refusal
from rapport.promotions.validators import validators

MOST_CONTEXTS, MOST_EXPLAINED = 10_000, 100
# Up to so many customers are read by key.
FEW = 20
# What a promotion decides, with the promotion; or why it decides nothing.
Decided = tuple[Validator, list[Decision]]
Answer = Decided | RapportError


def validate_customers(scope: Scope, id: str, contexts: Sequence[Context]) -> Decided:
    """What a promotion decides about each context, in order. Raises NotFound, Conflict, Invalid."""
    return _validated(scope, validators(scope.stores).of(scope, id), contexts)


def validate_each(scope: Scope, id: str, contexts: Sequence[Context]) -> list[Decision | Invalid]:
    """The same of a few contexts that have nothing to do with each other: a wrong one is answered with its error.

    Raises NotFound, Conflict.
    """
    validator = validators(scope.stores).of(scope, id)
    checked = [_checked_alone(context, validator) for context in contexts]
    fitting = [context.customer_id for context in checked if isinstance(context, Context)]
    customers = facts_of(scope, validator, fitting)
    return [_one(validator, context, customers) if isinstance(context, Context) else context for context in checked]


def validate_told(scope: Scope, id: str, contexts: Sequence[Context]) -> Decided:
    """What a promotion decides about contexts whose sessions are what an event told, in order.

    Values that no session property can have are left out; who lacks a required one gets nothing. Raises NotFound,
    Conflict.
    """
    validator = validators(scope.stores).of(scope, id)
    sessions = [fitting_values(context.session, validator.properties.session) for context in contexts]
    fitting = [replace(context, session=session) for context, session in zip(contexts, sessions, strict=True)]
    customers = facts_of(scope, validator, [context.customer_id for context in fitting])
    return validator, [
        _one(validator, context, customers)
        if isinstance(_checked_alone(context, validator), Context)
        else Decision(context.customer_id, None, reason=Refusal.CONDITIONS_NOT_MET)
        for context in fitting
    ]


@dataclass(frozen=True, slots=True)
class Asked:
    """What one caller asks of a promotion about few customers."""

    id: str
    contexts: Sequence[Context]


@dataclass(frozen=True, slots=True)
class Begun:
    """What several callers ask, while their customers are read."""

    asked: Sequence[tuple[Validator, Sequence[Context]] | RapportError]
    customers: Future[dict[str, known.KnownCustomer]]

    def answers(self) -> list[Answer]:
        """What promotions decide, when the customers are known. NotFound, Conflict and Invalid are values."""
        customers = self.customers.result()
        return [
            each
            if isinstance(each, RapportError)
            else (each[0], [_one(each[0], context, customers) for context in each[1]])
            for each in self.asked
        ]


def begin_together(scope: Scope, asked: Sequence[Asked]) -> Begun:
    """Begin to decide for several callers who ask about few customers each, all read by the same statements.

    Promotions seldom change: customers are read for the promotions that are kept, while the records tell whether any of
    them has changed. In that case they are read again.
    """
    all_validators, ids = validators(scope.stores), list({each.id for each in asked})
    ids_asked = [context.customer_id for each in asked for context in each.contexts]
    kept = all_validators.kept(scope, ids)
    customers = all_validators.soon(_known, scope, list(kept.values()), ids_asked)
    deciding = all_validators.of_each(scope, ids)
    if any(validator is not kept.get(id) for id, validator in deciding.items()):
        current = [validator for validator in deciding.values() if isinstance(validator, Validator)]
        customers = all_validators.soon(_known, scope, current, ids_asked)
    return Begun([_fitting(each, deciding[each.id]) for each in asked], customers)


def _fitting(asked: Asked, validator: Validator | RapportError) -> tuple[Validator, list[Context]] | RapportError:
    """Contexts whose values are checked, with what decides about them."""
    if isinstance(validator, RapportError):
        return copy(validator)
    try:
        return validator, _all_checked(asked.contexts, validator)
    except Invalid as error:
        return error


def _known(scope: Scope, deciding: Sequence[Validator], customer_ids: Sequence[str]) -> dict[str, known.KnownCustomer]:
    """What is known of customers; each has whatever any promotion needs. Nothing without promotions."""
    if not deciding:
        return {}
    needs, schema = known.Needs(attributes=set()), deciding[0].schema
    for each in deciding:
        needs.add(each.needs)
    return known.load(scope, schema, deciding[0].data_date, customer_ids, needs, schema.today)


def _checked_alone(context: Context, validator: Validator) -> Context | Invalid:
    try:
        return replace(
            context, session=checked_values(context.session, validator.properties.session, "sessionProperties")
        )
    except Invalid as error:
        return error


def _validated(scope: Scope, validator: Validator, contexts: Sequence[Context]) -> Decided:
    checked = _all_checked(contexts, validator)
    decided: dict[int, Decision] = {}
    if len(checked) > FEW:
        decided = batches.decided(scope, validator, checked)
    rest = {place: context for place, context in enumerate(checked) if place not in decided}
    decided |= _by_key(scope, validator, rest)
    return validator, [decided[place] for place in range(len(checked))]


def _all_checked(contexts: Sequence[Context], validator: Validator) -> list[Context]:
    """Contexts whose values fit. Raises Invalid."""
    if not 1 <= len(contexts) <= MOST_CONTEXTS:
        raise Invalid(f"contexts must have 1 to {MOST_CONTEXTS} customers, not {len(contexts)}.")
    return [_checked(context, validator, place) for place, context in enumerate(contexts)]


def _checked(context: Context, validator: Validator, place: int) -> Context:
    path = f"contexts[{place}].sessionProperties"
    return Context(context.customer_id, checked_values(context.session, validator.properties.session, path))


def facts_of(scope: Scope, validator: Validator, customer_ids: Sequence[str]) -> dict[str, known.KnownCustomer]:
    """What is known of a few customers, by their id in lower case; others are not loaded."""
    return known.load(
        scope, validator.schema, validator.data_date, customer_ids, validator.needs, validator.schema.today
    )


def _by_key(scope: Scope, validator: Validator, contexts: Mapping[int, Context]) -> dict[int, Decision]:
    customers = facts_of(scope, validator, [context.customer_id for context in contexts.values()])
    return {place: _one(validator, context, customers) for place, context in contexts.items()}


def _one(validator: Validator, context: Context, customers: Mapping[str, known.KnownCustomer]) -> Decision:
    facts = _facts(validator, context, customers)
    if facts is None:
        return Decision(context.customer_id, None, reason=Refusal.UNKNOWN_CUSTOMER)
    return validator.decided(facts).of(context.customer_id)


def _facts(validator: Validator, context: Context, customers: Mapping[str, known.KnownCustomer]) -> Facts | None:
    """What is known of a customer, with what the context gives; None for an unknown one."""
    customer = customers[context.customer_id.lower()]
    if not customer.loaded:
        return None
    return replace(customer.facts, attributes={**customer.facts.attributes, **validator.attributes(context)})


@dataclass(frozen=True)
class BranchResult:
    """A branch of a tree for one customer: whether it is true, and the value that a comparison was made with."""

    index: int
    is_true: bool
    value: Any = None


@dataclass(frozen=True)
class Explanation:
    """A decision and how it came about: the branches of the promotion's own tree, then of each tier; none for an
    unknown customer."""

    decision: Decision
    trees: tuple[tuple[BranchResult, ...], ...]


def explain(scope: Scope, id: str, contexts: Sequence[Context]) -> tuple[Promotion, list[Explanation]]:
    """What a promotion of any status would decide about customers, and why. Raises NotFound, Conflict, Invalid."""
    if not 1 <= len(contexts) <= MOST_EXPLAINED:
        raise Invalid(f"contexts must have 1 to {MOST_EXPLAINED} customers, not {len(contexts)}.")
    explained = promotion(scope, id)
    deciding = validator(scope, explained, basis(scope), as_trial=True)
    checked = [_checked(context, deciding, place) for place, context in enumerate(contexts)]
    customers = facts_of(scope, deciding, [context.customer_id for context in checked])
    return explained, [_explanation(deciding, context, customers) for context in checked]


def _explanation(validator: Validator, context: Context, customers: Mapping[str, known.KnownCustomer]) -> Explanation:
    facts = _facts(validator, context, customers)
    decision = _one(validator, context, customers)
    if facts is None:
        return Explanation(decision, ())
    return Explanation(decision, tuple(_results(validator, tree, facts) for tree in validator.trees))


def _results(validator: Validator, tree: CompiledTree, facts: Facts) -> tuple[BranchResult, ...]:
    values = {branch.index: validator.value(leaf, facts) for branch, leaf in tree.tree.leaves()}
    return tuple(BranchResult(index, is_true, values.get(index)) for index, is_true in enumerate(tree.results(facts)))
