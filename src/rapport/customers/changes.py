"""Management of attributes: create one, change what may change."""

from dataclasses import replace
from typing import Any

from rapport.access.scope import Scope
from rapport.customers.attributes import AttributeInfo, attributes, declare, save
from rapport.customers.privacy import personal_columns, tasks
from rapport.customers.states import STORED_SOURCES
from rapport.customers.writes import locks
from rapport.errors import Conflict, Invalid, NotFound


def create_attribute(scope: Scope, info: AttributeInfo) -> AttributeInfo:
    """Make one attribute exist. Raises Conflict for a name that is taken, Invalid for one that cannot be.

    Whether it identifies is judged by its name, unless pii_reason says that somebody has decided.
    """
    info = personal_columns.judged(info)
    # A table that changes place with a copy meanwhile would lose the new column.
    with locks.writing(scope):
        if info.real_field_name.upper() in attributes(scope):
            raise Conflict(f"There is an attribute {info.real_field_name} already.")
        declare(scope, [info])
    with scope.records() as session:
        scope.audit(session, "create", f"attribute {info.real_field_name}", field_type=info.field_type)
    return info


def change_attribute(scope: Scope, name: str, changes: dict[str, Any]) -> AttributeInfo:
    """Change alias, description, is_pii or api_updatable of an attribute, a built-in one too.

    Raises NotFound, and Invalid for opening a calculated attribute to updates. What becomes identifying
    is erased for everybody who was removed.
    """
    info = attributes(scope).get(name.upper())
    if info is None:
        raise NotFound(f"There is no attribute {name!r}.")
    if changes.get("api_updatable") and info.source not in STORED_SOURCES:
        raise Invalid(f"api_updatable cannot be set: {info.real_field_name} is computed.")
    changed = replace(info, **changes)
    if "is_pii" in changes:
        changed = replace(changed, pii_reason=personal_columns.DECIDED)
    save(scope, changed)
    with scope.records() as session:
        scope.audit(session, "change", f"attribute {info.real_field_name}", **changes)
    if changed.is_pii and not info.is_pii:
        tasks.erase_again(scope)
    return changed
