"""What a tenant can set about events: the "events" member of its settings."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from rapport.access.scope import Scope

EventName = Annotated[str, Field(min_length=1, max_length=255)]


class EventSettings(BaseModel):
    """Defaults take events from servers that hold the token, and from apps that hold the public one."""

    model_config = ConfigDict(extra="ignore")

    require_signature: bool = Field(False, description="Servers must sign: the token in a header is not enough")
    allow_query_token: bool = Field(False, description="The token may stand in the query, where logs show it")
    events_per_person: int = Field(
        100, ge=1, le=100_000, description="Events of one person in 10 seconds; below 100 full batches of apps fail"
    )
    apps_change_customers: bool = Field(
        True, description="An e-mail address that an app reports becomes that of a customer who has none"
    )
    vendor_events: list[EventName] = Field(
        [], max_length=100, description="Events that vendors may report besides what becomes of messages"
    )
    apps_without_jwt: bool = Field(
        True, description="Where X-User-JWT is verified: SDKs that cannot send one may name customers without"
    )


def settings_of(scope: Scope) -> EventSettings:
    """The tenant's settings of events. Raises Invalid naming the member that cannot be used."""
    return scope.section("events", EventSettings)
