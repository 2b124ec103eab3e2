"""What a builder of conditions offers: the attributes, how each can be compared, and values it has."""

from dataclasses import dataclass

from rapport.access.scope import Scope
from rapport.audiences import queries
from rapport.audiences.schema import NAMED, PERCENTILE, called, current_date
from rapport.conditions import FIELD_KINDS, operators_of
from rapport.customers import attributes
from rapport.customers.attributes import AttributeInfo

EXAMPLES = 5


@dataclass(frozen=True)
class AttributeChoice:
    """An attribute; examples are a few frequent values as the wire shows them, none for personal data.

    Those of stages and segments are the present names, which a definition is checked against when it is saved.
    """

    name: str
    alias: str
    description: str
    kind: str
    operators: list[str]
    examples: list[str]


def attribute_choices(scope: Scope) -> list[AttributeChoice]:
    """Every attribute of the tenant, by name."""
    infos = list(attributes.attributes(scope).values())
    examples = _examples(scope, [info for info in infos if not info.is_pii])
    return [_choice(info, examples.get(info.real_field_name, [])) for info in infos]


def _choice(info: AttributeInfo, examples: list[str]) -> AttributeChoice:
    kind = FIELD_KINDS[info.field_type]
    operators = [operator.value for operator in operators_of(kind, percentile=PERCENTILE in info.real_field_name)]
    return AttributeChoice(info.real_field_name, info.alias, info.description, kind.value, operators, examples)


def _examples(scope: Scope, infos: list[AttributeInfo]) -> dict[str, list[str]]:
    columns = ", ".join(f"topK({EXAMPLES})({attributes.rendered(info)})" for info in infos)
    row = scope.warehouse.row(queries.EXAMPLES.format(columns=columns), data_date=current_date(scope).isoformat())
    examples = row or ((),) * len(infos)
    shown = {
        info.real_field_name: [str(value) for value in values] for info, values in zip(infos, examples, strict=True)
    }
    for name, by_id in NAMED.items():
        if name in shown and by_id in shown:
            present = {str(number): called_now for number, called_now in called(scope, by_id).items()}
            shown[name] = [present[number] for number in shown[by_id] if number in present]
    return shown
