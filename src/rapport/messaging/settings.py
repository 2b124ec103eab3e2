"""What a tenant can set about messages: the "messaging" member of its settings."""

from pydantic import BaseModel, ConfigDict, Field

from rapport.access.scope import Scope


class MessagingSettings(BaseModel):
    """Defaults bear with a full mailbox for some weeks."""

    model_config = ConfigDict(extra="ignore")

    soft_bounces: int = Field(5, ge=1, le=1000, description="Days with a soft bounce after which nothing more is sent")
    soft_bounce_days: int = Field(30, ge=1, le=366, description="Within how many days those must be")


def settings_of(scope: Scope) -> MessagingSettings:
    """The tenant's settings of messages. Raises Invalid naming the member that cannot be used."""
    return scope.section("messaging", MessagingSettings)
