"""Properties: which there are, and whether values fit what is declared of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from rapport.conditions import FIELD_KINDS, Kind, parse
from rapport.conditions.language.nodes import HistoryIs
from rapport.customers.attributes import AttributeInfo
from rapport.errors import Invalid
from rapport.promotions.definitions import LARGEST, MOST_PROPERTIES, Constraints, PropertyDefinition, matching
from rapport.promotions.states import PropertyType, Source

NUMBERS = (int, float, Decimal)
LONGEST_TEXT, MOST_ELEMENTS, DECIMALS = 1000, 1000, 10
# The kinds of attributes that can be the values of a customer property. A boolean one is a word of consent, or 0 and 1.
ATTRIBUTE_KINDS = {
    PropertyType.STRING: (Kind.TEXT,),
    PropertyType.NUMBER: (Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT),
    PropertyType.BOOLEAN: (Kind.TEXT, Kind.INTEGER, Kind.DECIMAL),
    PropertyType.DATE: (Kind.DATE, Kind.TIME, Kind.INSTANT),
    PropertyType.STRING_ARRAY: (Kind.TEXTS,),
    PropertyType.NUMBER_ARRAY: (Kind.NUMBERS,),
}
WORDS = {
    PropertyType.STRING: "a text",
    PropertyType.NUMBER: "a number",
    PropertyType.BOOLEAN: "true or false",
    PropertyType.DATE: "a date such as 2026-11-02, or a time such as 2026-11-02T09:30:00Z",
    PropertyType.STRING_ARRAY: "a list of texts",
    PropertyType.NUMBER_ARRAY: "a list of numbers",
}


@dataclass(frozen=True)
class Properties:
    """The properties that promotions of a tenant may use, by source and by their keys in lower case.

    kinds are those of the tenant's customer attributes, by upper-case name.
    """

    customer: Mapping[str, PropertyDefinition] = field(default_factory=dict)
    session: Mapping[str, PropertyDefinition] = field(default_factory=dict)
    promotion: Mapping[str, PropertyDefinition] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)

    def named(self, source: Source, key: str) -> PropertyDefinition | None:
        """A property by its key in any case; None for one that is not declared."""
        by_source = {Source.CUSTOMER: self.customer, Source.SESSION: self.session, Source.PROMOTION: self.promotion}
        return by_source[source].get(key.lower())


def attribute_of(definition: PropertyDefinition) -> str:
    """The upper-case name of the attribute that a customer property is."""
    return (definition.attribute or definition.key).upper()


def measure_of(definition: PropertyDefinition) -> HistoryIs | None:
    """The measure of a history that a customer property is; None for an attribute. Raises Invalid."""
    if definition.measure is None:
        return None
    where = f"the measure of {definition.key}"
    if {"operator", "value"} & definition.measure.keys():
        raise Invalid(f"{where} must not have an operator or a value: conditions compare it.")
    condition = parse({**definition.measure, "operator": "is_not_empty"}, where)
    if not isinstance(condition, HistoryIs):
        raise Invalid(f"{where} must be a history with its measure.")
    return condition


def check_definitions(
    definitions: Sequence[PropertyDefinition], path: str, attributes: Mapping[str, AttributeInfo] | None = None
) -> None:
    """Raises Invalid for a key that is there twice, and for customer properties that no attribute or measure is.

    attributes are those of the customers by upper-case name; None for properties of promotions and sessions.
    """
    if len(definitions) > MOST_PROPERTIES:
        raise Invalid(f"{path} must have at most {MOST_PROPERTIES} properties.")
    keys = set[str]()
    for number, definition in enumerate(definitions):
        at = f"{path}[{number}]"
        if definition.key.lower() in keys:
            raise Invalid(f"{at}.key: there are two properties {definition.key!r}; keys differ by more than case.")
        keys.add(definition.key.lower())
        if attributes is not None:
            _check_origin(definition, at, attributes)
        elif definition.attribute is not None or definition.measure is not None:
            raise Invalid(f"{at}: only customer properties have an attribute or a measure.")


def _check_origin(definition: PropertyDefinition, at: str, attributes: Mapping[str, AttributeInfo]) -> None:
    measure = measure_of(definition)
    if measure is not None:
        if definition.attribute is not None:
            raise Invalid(f"{at} must have either an attribute or a measure.")
        if definition.type not in (PropertyType.NUMBER, PropertyType.DATE):
            raise Invalid(f"{at}.type must be number or date for a measure.")
        return
    attribute = attributes.get(attribute_of(definition))
    if attribute is None:
        raise Invalid(f"{at}: there is no customer attribute {attribute_of(definition)!r}; name one with attribute.")
    kind = FIELD_KINDS[attribute.field_type]
    if kind not in ATTRIBUTE_KINDS[definition.type]:
        raise Invalid(f"{at}.type: the attribute {attribute.real_field_name} holds {kind}, not {definition.type}.")


def checked_values(values: Mapping[str, Any], declared: Mapping[str, PropertyDefinition], path: str) -> dict[str, Any]:
    """Values by the keys as they are declared. Raises Invalid for unknown, unfitting and missing ones; null is none."""
    checked: dict[str, Any] = {}
    for key, value in values.items():
        definition = declared.get(str(key).lower())
        if definition is None:
            raise Invalid(f"{path}.{key}: there is no such property; declare it in the property schema first.")
        if value is not None:
            if fault := _fault(value, definition):
                raise Invalid(f"{path}.{key} {fault}")
            checked[definition.key] = value
    for definition in declared.values():
        if definition.required and definition.key not in checked:
            raise Invalid(f"{path}.{definition.key} is required.")
    return checked


def fitting_values(values: Mapping[str, Any], declared: Mapping[str, PropertyDefinition]) -> dict[str, Any]:
    """Those of values from elsewhere that are declared and fit, by the keys as they are declared."""
    by_key = {name.lower(): value for name, value in values.items() if value is not None}
    return {
        definition.key: by_key[key]
        for key, definition in declared.items()
        if key in by_key and not _fault(by_key[key], definition)
    }


def _fault(value: Any, definition: PropertyDefinition) -> str:
    """What a value of a property must be and is not; empty when it fits."""
    if not IS_OF[definition.type](value):
        return f"must be {WORDS[definition.type]}."
    for element in value if isinstance(value, list) else (value,):
        if fault := _broken(element, definition.constraints):
            return fault
    return ""


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_date(value: Any) -> bool:
    return isinstance(value, str) and moment(value) is not None


def _is_list_of(is_element: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and len(value) <= MOST_ELEMENTS and all(map(is_element, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT and "\0" not in value


def is_number(value: Any) -> bool:
    """Whether a value is a number that both engines hold exactly: below 10^15, with at most 10 decimals."""
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) <= LARGEST
    if not isinstance(value, NUMBERS):
        return False
    exact = Decimal(str(value))
    return exact.is_finite() and abs(exact) <= LARGEST and exact == round(exact, DECIMALS)


def moment(value: str) -> date | datetime | None:
    """The day, the local time or the instant that a text is; None for any other text."""
    try:
        return date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
    except ValueError:
        return None


def _broken(value: Any, constraints: Constraints) -> str:
    """The constraint that a value breaks, as what it must be; empty for none."""
    if constraints.enum is not None and value not in constraints.enum:
        return f"must be one of {', '.join(map(str, constraints.enum))}."
    if isinstance(value, NUMBERS) and not isinstance(value, bool):
        if constraints.min is not None and value < constraints.min:
            return f"must be at least {constraints.min:g}."
        if constraints.max is not None and value > constraints.max:
            return f"must be at most {constraints.max:g}."
    elif isinstance(value, str):
        if constraints.max_length is not None and len(value) > constraints.max_length:
            return f"must have at most {constraints.max_length} characters."
        if constraints.pattern is not None and not _matches(value, constraints.pattern):
            return f"must match the pattern {constraints.pattern}."
    return ""


def _matches(value: str, pattern: str) -> bool:
    try:
        matching(pattern).validate_python(value)
    except ValidationError:
        return False
    return True


IS_OF: dict[PropertyType, Callable[[Any], bool]] = {
    PropertyType.STRING: _is_text,
    PropertyType.NUMBER: is_number,
    PropertyType.BOOLEAN: _is_boolean,
    PropertyType.DATE: _is_date,
    PropertyType.STRING_ARRAY: _is_list_of(_is_text),
    PropertyType.NUMBER_ARRAY: _is_list_of(is_number),
}
