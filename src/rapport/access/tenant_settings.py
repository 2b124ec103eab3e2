"""What a tenant can set: sections of members, each a model of the package that goes by it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.errors import Invalid, RapportError
from rapport.wording import unusable


class TenantSettings(BaseModel):
    """A section of the settings, by its name. Members that a later release no longer knows are passed over."""

    section: ClassVar[str]


S = TypeVar("S", bound=TenantSettings)
# Given are what is stored, what would be, and the transaction that changes it.
CheckChange = Callable[[Scope, Scope, Session], None]


def tenant_settings(scope: Scope, model: type[S], *, strict: bool = False) -> S:
    """The tenant's settings of a section, as they were when the scope was made.

    strict: as they were written, so that true is no 1, and a text no number. Raises Invalid naming the member that
    cannot be used.
    """
    stored = scope.settings.get(model.section, {})
    try:
        return model.model_validate_json(json.dumps(stored), strict=True) if strict else model.model_validate(stored)
    except ValidationError as error:
        raise Invalid(unusable(error, model, f"The tenant setting {model.section}")) from error


def settings_or_defaults(scope: Scope, model: type[S]) -> S:
    """tenant_settings() for what no setting may hold up: the defaults where one cannot be used."""
    try:
        return tenant_settings(scope, model)
    except RapportError:
        return model()


@dataclass(frozen=True)
class Section:
    """A section that a tenant may change, with what refuses a change that the model would take."""

    model: type[TenantSettings]
    check_change: CheckChange | None = None


Sections = Mapping[str, Section]


def by_name(*sections: Section) -> Sections:
    """Sections by their names, in this order."""
    return {section.model.section: section for section in sections}


def check_known(sections: Sections, changes: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Raises Invalid for a section or a member of one that is not known.

    Only what is written is held to known members: stored ones that a later release no longer knows can be read.
    """
    for name, change in changes.items():
        if name not in sections:
            raise Invalid(f"settings has no section {name!r}: it has {', '.join(sections)}.")
        members = sections[name].model.model_fields
        for member in change or {}:
            if member not in members:
                raise Invalid(f"settings.{name} has no member {member!r}: it has {', '.join(members)}.")


def check_of(sections: Sections, changes: Mapping[str, Any]) -> CheckChange:
    """A check of the sections that are written, each as it would be as a whole.

    It raises Invalid for one that cannot be used, and what check_change of the section raises.
    """

    def check(stored: Scope, changed: Scope, session: Session) -> None:
        for name in changes:
            section = sections[name]
            tenant_settings(changed, section.model, strict=True)
            tenant_settings(changed, section.model)
            if section.check_change is not None:
                section.check_change(stored, changed, session)

    return check
