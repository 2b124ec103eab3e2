"""What is wrong with a value, in plain words instead of the validator's."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

Fault = Mapping[str, Any]
_TEXTS = {
    "must be a text": ("string_type",),
    "must be a whole number": ("int_type", "int_parsing", "int_parsing_size", "int_from_float"),
    "must be a number": ("float_type", "float_parsing", "finite_number"),
    "must be true or false": ("bool_type", "bool_parsing"),
    "must be a list": ("list_type",),
    "must be an object": ("dict_type", "model_type", "model_attributes_type"),
    "must be a date as YYYY-MM-DD, such as 2026-11-02": (
        "date_type",
        "date_parsing",
        "date_from_datetime_parsing",
        "date_from_datetime_inexact",
    ),
    # Every time that is asked for is an instant; wall-clock times are texts.
    "must be an ISO 8601 time with its zone, such as 2026-11-02T09:30:00Z": (
        "datetime_type",
        "datetime_parsing",
        "datetime_from_date_parsing",
        "datetime_object_invalid",
        "timezone_aware",
    ),
    "is required": ("missing", "union_tag_not_found"),
    "is not known here": ("extra_forbidden",),
}
# What patterns ask for, in words: nobody who calls should have to read one.
HOLDS_NULL = "must not contain a null character"
HOLDS_HALF = "must not hold half of a surrogate pair"
NOT_TRUTH = "must be a number, not true or false"
HALF = re.compile("[\ud800-\udfff]")
WORDS = {
    r"^[^\x00]*$": HOLDS_NULL,
    r"^[^\x00]+$": HOLDS_NULL,
    r"^[^\x00]*[^\s\x00][^\x00]*$": "must not be blank",
    r"^[^\r\n]*$": "must be one line",
    r"^([01]\d|2[0-3]):[0-5]\d$": "must be a time such as 09:30",
    r"^[A-Za-z0-9_]{1,50}$": "must be 1 to 50 letters, digits or underscores",
    r"^[A-Za-z0-9_-]{1,40}$": "must be 1 to 40 letters, digits, underscores or hyphens",
    r"^[A-Za-z0-9-]*$": "must have letters, digits and hyphens only",
    r"^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$": (
        "must be a host in lower case, such as shop.example.com, or *.example.com for all hosts below one"
    ),
    r"^[A-Za-z_][A-Za-z0-9_]{0,127}$": "must be 1 to 128 letters, digits or underscores, and begin with no digit",
    r"^(new|active|reactivated|churn|dormant)$": "must be 'new', 'active', 'reactivated', 'churn' or 'dormant'",
    r"^[a-z ]*$": "must be a state, in lower case",
    r"^[A-Za-z0-9_-]{1,100}$": "must be 1 to 100 letters, digits, dashes or underscores",
    r"^\d+(,\d+)*$": "must be numbers that commas separate",
    r"(?i)^embedded-message\.(read|unread|clicked|deleted)$": (
        "must be embedded-message.read, embedded-message.unread, embedded-message.clicked or embedded-message.deleted"
    ),
    r"^[A-Za-z][A-Za-z0-9_]{0,99}$": "must be 1 to 100 letters, digits or underscores, and begin with a letter",
    r"^[^\s/?#\x00-\x1f\x7f]+$": "must have no blanks and none of / ? #",
    r"^[^\s,;\"'\x00-\x1f\x7f]+$": "must have no blanks, quotes, commas and semicolons",
    r"^[0-9a-f]{32}$": "must be the id that the count was answered with",
}
# What texts must have of characters: pydantic calls them items where a type was read first by a rule of ours.
LENGTHS = {
    "too_short": ("at least", "min_length"),
    "string_too_short": ("at least", "min_length"),
    "too_long": ("at most", "max_length"),
    "string_too_long": ("at most", "max_length"),
}
# Of so many faults those are looked for that are of one and the same value; a value has one for each kind of a union.
MOST_FAULTS = 100
SAID = {type_: words for words, types in _TEXTS.items() for type_ in types}


def unstorable(text: str) -> str | None:
    """What is wrong with a text that neither engine could store, as the end of a sentence; None for any other."""
    if "\0" in text:
        return HOLDS_NULL
    return HOLDS_HALF if HALF.search(text) else None


def truth_as_number(data: Any, taken: Any, where: str = "") -> str | None:
    """Where a model took true or false for a number in what was given as JSON; None where it did nowhere.

    The validator reads true as 1, and nobody means that by it.
    """
    if isinstance(data, bool):
        return where if isinstance(taken, int | float) and not isinstance(taken, bool) else None
    parts: Iterable[tuple[str, Any, Any]] = ()
    if isinstance(data, list) and isinstance(taken, list | tuple):
        parts = ((f"[{n}]", part, item) for n, (part, item) in enumerate(zip(data, taken, strict=False)))
    elif isinstance(data, dict) and isinstance(taken, BaseModel | dict):
        members = taken if isinstance(taken, dict) else vars(taken)
        parts = ((f".{name}", part, members.get(name)) for name, part in data.items())
    return next(
        (at for name, part, item in parts if (at := truth_as_number(part, item, where + name)) is not None), None
    )


def _items(number: int) -> str:
    return f"{number} item{'s' * (number != 1)}"


def _bound(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


MEASURED: dict[str, Callable[[Fault], str]] = {
    "too_short": lambda limits: f"must have at least {_items(limits['min_length'])}",
    "too_long": lambda limits: f"must have at most {_items(limits['max_length'])}",
    "greater_than_equal": lambda limits: f"must be at least {_bound(limits['ge'])}",
    "greater_than": lambda limits: f"must be more than {_bound(limits['gt'])}",
    "less_than_equal": lambda limits: f"must be at most {_bound(limits['le'])}",
    "less_than": lambda limits: f"must be less than {_bound(limits['lt'])}",
    "literal_error": lambda limits: f"must be {limits['expected']}",
    "enum": lambda limits: f"must be {limits['expected']}",
    "union_tag_invalid": lambda limits: f"must be one of {limits['expected_tags']}",
}


def worded(fault: Fault) -> str:
    """A fault as the end of a sentence, in our words where we have any."""
    if fault["type"] in SAID:
        return SAID[fault["type"]]
    if fault["type"] in MEASURED:
        return MEASURED[fault["type"]](fault["ctx"])
    said = str(fault["msg"]).removeprefix("Value error, ").rstrip(".")
    # A/B stays what it is.
    first = said[0].lower() if said[1:2].islower() else said[0]
    return f"{first}{said[1:]}".replace(" should ", " must ", 1).removeprefix("input ")


def place(fault: Fault, body: Any) -> str:
    """Where in what was given a fault is: members joined with dots, items by their number in brackets, from 0.

    The kind of a union that was tried is a step on a fault's way too, but was not given: it is left out, as far as
    what was given is JSON and so can tell.
    """
    where, value, known = "", body, isinstance(body, dict | list)
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
    return isinstance(value, dict) and (missing or name in value or any(key.lower() == name.lower() for key in value))


def _member(name: str, value: Any) -> Any:
    held = value if isinstance(value, dict) else {}
    return (
        held[name]
        if name in held
        else next((member for key, member in held.items() if key.lower() == name.lower()), None)
    )


def reason(fault: Mapping[str, Any]) -> str:
    """What is wrong with a value, as the end of a sentence: a fault as pydantic and FastAPI tell it."""
    if fault["type"] == "string_pattern_mismatch" and fault["ctx"]["pattern"] in WORDS:
        return HOLDS_NULL if "\0" in fault["input"] else WORDS[fault["ctx"]["pattern"]]
    if fault["type"] in LENGTHS and isinstance(fault["input"], str):
        bound, name = LENGTHS[fault["type"]]
        number = fault["ctx"][name]
        return f"must have {bound} {number} character{'s' * (number != 1)}"
    return worded(fault)


def sentence(faults: Sequence[Fault], body: Any, within: str = "", kind: Any = None) -> str:
    """A fault of what was given as one sentence that names the member; within leads to the part it is in.

    kind is the type that was asked for: a member that there is not is told with those that there are.
    """
    chosen, faults = _telling(faults), faults[:MOST_FAULTS]
    where = place(chosen, body)
    # What fits no kind of a union has a fault for each kind.
    reasons = dict.fromkeys(reason(fault) for fault in faults if place(fault, body) == where)
    words = " or ".join(reasons).replace(" or must be ", " or ")
    where = ".".join(filter(None, [within, where]))
    if not where and chosen["type"] == "value_error":
        called = {*(body if isinstance(body, dict) else ()), *_members(kind, ())}
        begins_with_a_member = words.partition(" ")[0] in called
        return f"{words}." if begins_with_a_member else f"{words[0].upper()}{words[1:]}."
    if chosen["type"] == "extra_forbidden" and (names := _members(kind, chosen["loc"][:-1])):
        words = f"{words}; {_there_are(names)}"
    where = where or "The body"
    return f"{where} {words}." if words.startswith("is ") else f"{where}: {words}."


def _telling(faults: Sequence[Fault]) -> Fault:
    """The first fault; of a member that is missing, the unknown one beside it, which may be a wrong name for it."""
    first = faults[0]
    beside = (
        fault for fault in faults if fault["type"] == "extra_forbidden" and fault["loc"][:-1] == first["loc"][:-1]
    )
    return next(beside, first) if first["type"] == "missing" else first


def _members(kind: Any, steps: Sequence[str | int]) -> list[str]:
    """The names of the members of what lies at these steps of a fault's way within a type."""
    models = _models(kind)
    for step in steps:
        inside = [inner for model in models if step in model.model_fields for inner in _models_of(model, step)]
        # Any other step is a place in a list, or the kind of a union that was tried.
        models = inside or [model for model in models if step in _called(model)] or models
    return list(dict.fromkeys(info.alias or name for model in models for name, info in model.model_fields.items()))


def _models(kind: Any) -> list[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [model for part in get_args(kind) for model in _models(part)]


def _models_of(model: type[BaseModel], name: Any) -> list[type[BaseModel]]:
    return _models(model.model_fields[name].annotation)


def _called(model: type[BaseModel]) -> set[Any]:
    """How the steps of faults call a model of a union: by its name, or by a constant of it."""
    kinds = [info.annotation for info in model.model_fields.values() if get_origin(info.annotation) is Literal]
    return {model.__name__, *(argument for kind in kinds for argument in get_args(kind))}


def _there_are(names: Sequence[str]) -> str:
    return f"there {'is' if len(names) == 1 else 'are'} {', '.join(names)}"


def refused(error: ValidationError, model: type[BaseModel], body: Any, within: str) -> str:
    """What a model did not take, as one sentence; within is where it was given, such as settings.

    A member that there is not is told with those that there are.
    """
    unknown = unknown_member(error, model, within)
    return unknown or sentence(error.errors(), body, within)


def unusable(error: ValidationError, model: type[BaseModel], within: str) -> str:
    """What a model did not take of settings, as one sentence."""
    fault = error.errors()[0]
    where = ".".join([within, *map(str, fault["loc"])])
    return unknown_member(error, model, within) or f"{where} cannot be used: {because(fault)}."


def because(fault: Fault) -> str:
    """A fault as a clause of its own, after a colon."""
    words = reason(fault)
    return f"it {words}" if words.startswith(("must ", "is ")) else words


def unknown_member(error: ValidationError, model: type[BaseModel], within: str) -> str:
    """A sentence for a member that the model has not got; empty for any other fault."""
    fault = error.errors()[0]
    if fault["type"] != "extra_forbidden" or len(fault["loc"]) != 1:
        return ""
    names = [info.alias or name for name, info in model.model_fields.items()]
    remark = _there_are(names) if names else "nothing can be set there"
    return f"There is no {fault['loc'][0]} in {within[0].lower()}{within[1:]}; {remark}."
