"""What a tenant can set about files: the "files" member of its settings."""

from pydantic import Field

from rapport.access.tenant_settings import TenantSettings


class FileSettings(TenantSettings):
    """Defaults stop a full load that looks cut off."""

    section = "files"

    removal_share: float = Field(
        0.2, ge=0, le=1, description="Share of what is stored that a full load may remove without being confirmed"
    )
