"""Changes to lifecycle stages and value segments: whoever named one goes on meaning the same one."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from rapport import conditions
from rapport.access.scope import Scope
from rapport.audiences import groups
from rapport.audiences import names as audience_names
from rapport.campaigns.attribute_uses import LISTED, asking
from rapport.campaigns.models import Series
from rapport.campaigns.triggered.definitions import triggered
from rapport.conditions.language.nodes import AttributeIs
from rapport.conditions.language.operators import Operator
from rapport.errors import Conflict, Invalid
from rapport.insight import stages
from rapport.insight import values as insight_values

SEGMENT = "VALUE_SEGMENT_ID"
ONE_OF_SOME = (Operator.EQUALS, Operator.NOT_EQUALS, Operator.IN, Operator.NOT_IN)


def change_stages(scope: Scope, days: Mapping[str, int], names: Mapping[str, str]) -> None:
    """Change numbers and names of lifecycle stages by kind. Raises Invalid."""
    _bind(scope)
    stages.change_stage_rules(scope, days, names)


def define_value_segments(scope: Scope, bands: Sequence[tuple[str, float]]) -> None:
    """Replace the value segments, most valuable first. Raises Invalid, Conflict while one that goes is asked for."""
    _bind(scope)
    users = [user for user, condition in asking(scope) if _segments(condition) - set(range(1, len(bands) + 1))]
    if users:
        raise Conflict(f"There would be only {len(bands)} value segments, but a later one is used by {_listed(users)}.")
    insight_values.define_value_segments(scope, bands)


def _listed(users: list[str]) -> str:
    return ", ".join(users[:LISTED]) + (f" and {len(users) - LISTED} more" if len(users) > LISTED else "")


def _segments(condition: conditions.Condition) -> set[int]:
    """The value segments whose ids a condition lists."""
    segment_ids: set[int] = set()
    for leaf in conditions.leaves(condition):
        if isinstance(leaf, AttributeIs) and leaf.name == SEGMENT and leaf.comparison.operator in ONE_OF_SOME:
            value = leaf.comparison.value
            values = value if isinstance(value, tuple) else (value,)
            segment_ids |= {int(segment_id) for segment_id in values if isinstance(segment_id, Decimal)}
    return segment_ids


def _bind(scope: Scope) -> None:
    """Conditions that were saved with names get the ids, while the names are still those that were meant."""
    groups.bind_target_groups(scope)
    for series in triggered(scope):
        definition = series.customer_conditions
        try:
            with_ids = audience_names.with_ids(scope, definition).raw if definition else definition
        except Invalid:
            continue
        if with_ids != definition:
            with scope.records() as session:
                stored_series = session.get_one(Series, (scope.tenant_id, series.id))
                trigger = stored_series.required_trigger
                stored_series.trigger = trigger.model_copy(update={"customer_conditions": with_ids})
