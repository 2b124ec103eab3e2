"""What a tenant can set about events: the "events" member of its settings."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from rapport.access.tenant_settings import TenantSettings

LOCAL = ("localhost", "127.0.0.1", "::1")
# A host, or with *. before it all hosts below it.
LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
Site = Annotated[str, Field(pattern=rf"^(\*\.)?{LABEL}(\.{LABEL})*$", max_length=253)]
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
    sites: list[Site] = Field(
        [],
        max_length=200,
        examples=[["shop.example.com", "*.example.org"]],
        description="Hosts whose pages may call from browsers, beside localhost; empty: pages of all sites",
    )

    def admits(self, origin: str) -> bool:
        """Whether a page of an origin, as browsers tell it, may call."""
        try:
            host = urlsplit(origin).hostname or ""
        except ValueError:
            host = ""
        if not self.sites or host in LOCAL:
            return True
        return any(host == site or (site.startswith("*.") and host.endswith(site[1:])) for site in self.sites)
