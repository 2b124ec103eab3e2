"""What a tenant can set about files: the "files" member of its settings."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rapport.access.scope import Scope
from rapport.errors import Invalid


class FileSettings(BaseModel):
    """Defaults stop a full load that looks cut off."""

    model_config = ConfigDict(extra="ignore")

    removal_share: float = Field(
        0.2, ge=0, le=1, description="Share of what is stored that a full load may remove without being confirmed"
    )


def settings_of(scope: Scope) -> FileSettings:
    """The tenant's settings of files. Raises Invalid naming the member that cannot be used."""
    given: Any = scope.settings.get("files", {})
    try:
        return FileSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"The tenant setting files.{name} cannot be used: {first['msg']}.") from error
