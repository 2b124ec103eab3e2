"""What a tenant can set about files: the "files" member of its settings."""

from pydantic import BaseModel, ConfigDict, Field

from rapport.access.scope import Scope


class FileSettings(BaseModel):
    """Defaults stop a full load that looks cut off."""

    model_config = ConfigDict(extra="ignore")

    removal_share: float = Field(
        0.2, ge=0, le=1, description="Share of what is stored that a full load may remove without being confirmed"
    )


def settings_of(scope: Scope) -> FileSettings:
    """The tenant's settings of files. Raises Invalid naming the member that cannot be used."""
    return scope.section("files", FileSettings)
