"""One spelling of each operator: what is kept and shown of a condition names operators as documents do."""

from typing import Any

from rapport.conditions.language.operators import Takes, operator_of, takes
from rapport.conditions.language.parsing import MAX_DEPTH


def with_plain_operators(data: Any, depth: int = 1) -> Any:
    """The JSON of a condition with the name of each operator in the place of other spellings, the rest as it is.

    Whatever is no condition stays as it is, for the parser to refuse.
    """
    if not isinstance(data, dict) or depth > MAX_DEPTH:
        return data
    plain = {name: _inner(name, value, depth) for name, value in data.items()}
    operator = operator_of(plain["operator"]) if isinstance(plain.get("operator"), str) else None
    if operator is None or not {"attribute", "history"} & plain.keys():
        return plain
    plain["operator"] = operator.value
    if takes(operator) is Takes.NOTHING and plain.get("value", "") is None:
        del plain["value"]
    return plain


def _inner(name: str, value: Any, depth: int) -> Any:
    if name == "not":
        return with_plain_operators(value, depth + 1)
    if name in ("all", "any") and isinstance(value, list):
        return [with_plain_operators(part, depth + 1) for part in value]
    return value
