"""What a tenant can set about events: the "events" member of its settings."""

from typing import Annotated

from pydantic import Field

from rapport.access.tenant_settings import TenantSettings

EventName = Annotated[str, Field(min_length=1, max_length=255)]


class EventSettings(TenantSettings):
    """Defaults take events from servers that hold the token, and from apps that hold the public one."""

    section = "events"

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
