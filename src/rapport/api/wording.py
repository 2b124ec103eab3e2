"""What is wrong with a value, in plain words instead of the validator's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Fault = Mapping[str, Any]
_TEXTS = {
    "must be a text": ("string_type",),
    "must be a whole number": ("int_type", "int_parsing", "int_parsing_size", "int_from_float"),
    "must be a number": ("float_type", "float_parsing", "finite_number"),
    "must be true or false": ("bool_type", "bool_parsing"),
    "must be a list": ("list_type",),
    "must be an object": ("dict_type", "model_type", "model_attributes_type"),
    "must be a date as YYYY-MM-DD": (
        "date_type",
        "date_parsing",
        "date_from_datetime_parsing",
        "date_from_datetime_inexact",
    ),
    "must be a time as YYYY-MM-DDTHH:MM:SS": ("datetime_type", "datetime_parsing", "datetime_from_date_parsing"),
    "is required": ("missing", "union_tag_not_found"),
    "is not known here": ("extra_forbidden",),
}
SAID = {type_: words for words, types in _TEXTS.items() for type_ in types}


def _items(number: int) -> str:
    return f"{number} item{'s' * (number != 1)}"


def _bound(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


MEASURED: dict[str, Callable[[Fault], str]] = {
    "too_short": lambda told: f"must have at least {_items(told['min_length'])}",
    "too_long": lambda told: f"must have at most {_items(told['max_length'])}",
    "greater_than_equal": lambda told: f"must be at least {_bound(told['ge'])}",
    "greater_than": lambda told: f"must be more than {_bound(told['gt'])}",
    "less_than_equal": lambda told: f"must be at most {_bound(told['le'])}",
    "less_than": lambda told: f"must be less than {_bound(told['lt'])}",
    "literal_error": lambda told: f"must be {told['expected']}",
    "enum": lambda told: f"must be {told['expected']}",
    "union_tag_invalid": lambda told: f"must be one of {told['expected_tags']}",
}


def worded(fault: Fault) -> str:
    """A fault as the end of a sentence, in our words where we have any."""
    if fault["type"] in SAID:
        return SAID[fault["type"]]
    if fault["type"] in MEASURED:
        return MEASURED[fault["type"]](fault["ctx"])
    said = str(fault["msg"]).removeprefix("Value error, ").rstrip(".")
    return f"{said[0].lower()}{said[1:]}".replace(" should ", " must ", 1).removeprefix("input ")


def place(fault: Fault, given: Any) -> str:
    """Where in what was given a fault is: members joined with dots, items by their number in brackets, from 0.

    The kind of a union that was tried is a step on a fault's way too, but was not given: it is left out, as far as
    what was given is JSON and so can tell.
    """
    where, value, known = "", given, isinstance(given, dict | list)
    steps: Sequence[str | int] = fault["loc"]
    for step, part in enumerate(steps, 1):
        if isinstance(part, int):
            where += f"[{part}]"
            value = value[part] if isinstance(value, list) and part < len(value) else None
        elif not known or _is_member(part, value, step == len(steps) and fault["type"] == "missing"):
            where += f".{part}" if where else part
            value = _member(part, value)
    if fault["type"].startswith("union_tag_"):
        where += "." + str(fault["ctx"]["discriminator"]).strip("'")
    return where


def _is_member(name: str, value: Any, missing: bool) -> bool:
    return isinstance(value, dict) and (missing or any(key.lower() == name.lower() for key in value))


def _member(name: str, value: Any) -> Any:
    held = value if isinstance(value, dict) else {}
    return next((one for key, one in held.items() if key.lower() == name.lower()), None)
