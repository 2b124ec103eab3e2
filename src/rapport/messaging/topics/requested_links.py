"""Links to the page of preferences that somebody asks for by an address, which may be anybody's.

The answer is the same whatever the address is: a request is only kept, and who has the address is looked up when its
message leaves. An address gets one such message in a while.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels.addresses import address_key, is_email_address
from rapport.errors import NotFound
from rapport.messaging.contactability import finding, suppressed_addresses, suppressions
from rapport.messaging.models import BrandGroup, PreferenceLinkRequest
from rapport.messaging.topics import brand_groups
from rapport.messaging.topics.preference_links import REQUESTED_WORK, PreferenceLink, link_to

EMAIL = "15"
PAUSE = timedelta(minutes=5)
MOST_HOLDERS = 5
# Requests whose messages have not left yet, of a tenant.
MOST_WAITING = 1000


def mail_channel(group: BrandGroup) -> int:
    """The channel by which links of a brand group are sent. Raises NotFound for a group without e-mail."""
    ids = group.channels.get(EMAIL, [])
    if not ids:
        raise NotFound("This brand group has no e-mail channel.")
    return ids[0]


def keep(scope: Scope, session: Session, group: BrandGroup, address: str, language: str) -> int | None:
    """Keep a request, in the caller's transaction: its number. None for no address, or one of a moment ago."""
    if not is_email_address(address_key(address)):
        return None
    [mark] = suppressed_addresses.marks_of(scope, [address])
    mine, now = PreferenceLinkRequest.tenant_id == scope.tenant_id, scope.clock.now()
    recent = select(func.count()).where(
        mine, PreferenceLinkRequest.mark == mark, PreferenceLinkRequest.requested_at > now - PAUSE
    )
    if session.scalar(recent) or (session.scalar(select(func.count()).where(mine)) or 0) >= MOST_WAITING:
        return None
    request = PreferenceLinkRequest(
        tenant_id=scope.tenant_id,
        brand_group_id=group.id,
        mark=mark,
        address=address_key(address),
        language=language,
        requested_at=now,
    )
    session.add(request)
    session.flush()
    return request.id


def requests(scope: Scope, ids: Collection[int]) -> dict[int, PreferenceLinkRequest]:
    """Requests that are kept, by number."""
    mine = select(PreferenceLinkRequest).where(
        PreferenceLinkRequest.tenant_id == scope.tenant_id, PreferenceLinkRequest.id.in_(ids)
    )
    with scope.reads() as session:
        return {request.id: request for request in session.scalars(mine)}


def forget(scope: Scope, session: Session, ids: Collection[int], before: datetime) -> None:
    """Forget the addresses of requests that have ended; the marks stay until an instant, for the pause."""
    mine = PreferenceLinkRequest.tenant_id == scope.tenant_id
    for request in session.scalars(select(PreferenceLinkRequest).where(mine, PreferenceLinkRequest.id.in_(ids))):
        request.address = ""
    ended = (PreferenceLinkRequest.address == "", PreferenceLinkRequest.requested_at < before)
    session.execute(delete(PreferenceLinkRequest).where(mine, *ended))


def requested_link(scope: Scope, request: PreferenceLinkRequest, channel_id: int) -> str:
    """The link that answers a request; empty when nobody has the address, or mail to it came back or was complained of.

    Whoever unsubscribed gets it: it is how one comes back.
    """
    listed = suppressed_addresses.of_address(scope, request.address)
    refusing = (suppressions.BOUNCED, "complaint")
    if any(entry.reason in refusing and entry.channel_id in (0, channel_id) for entry in listed):
        return ""
    customer_ids = finding.holders(scope, request.address, MOST_HOLDERS)
    try:
        brand_groups.brand_group(scope, request.brand_group_id)
    except NotFound:
        return ""
    link = PreferenceLink(request.brand_group_id, tuple(customer_ids))
    return link_to(scope, link, scope.clock.now() + REQUESTED_WORK) if customer_ids else ""
