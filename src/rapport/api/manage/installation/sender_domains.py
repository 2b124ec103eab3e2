"""From which domains a tenant may send mail through the server's mail server: the operator says so."""

from typing import Annotated

from fastapi import Depends, Path
from pydantic import BaseModel, Field

from rapport.access import service
from rapport.access.scope import Scope
from rapport.api.http.auth import operated
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter

router = SectionRouter("Management: operator", "/manage/v1/operator", JsonRoute)

Domain = Annotated[
    str, Path(min_length=1, max_length=253, examples=["shop.example"], description="Without its subdomains")
]


class SenderDomains(BaseModel):
    """The domains from which a tenant may send mail through the server's mail server."""

    sender_domains: list[str] = Field(examples=[["shop.example"]])


@router.put("/sender-domains/{domain}", summary="Allow a tenant to send mail from a domain")
def allow_sender_domain(domain: Domain, scope: Scope = Depends(operated)) -> SenderDomains:  # noqa: B008
    """The tenant's channels without their own mail server may then use senders of exactly this domain."""
    return SenderDomains(sender_domains=service.allow_sender_domain(scope, domain))


@router.delete("/sender-domains/{domain}", summary="Stop a tenant from sending mail from a domain")
def disallow_sender_domain(domain: Domain, scope: Scope = Depends(operated)) -> SenderDomains:  # noqa: B008
    """Channels with such a sender send nothing until their sender is changed."""
    return SenderDomains(sender_domains=service.disallow_sender_domain(scope, domain))
