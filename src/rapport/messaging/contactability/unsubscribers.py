"""The unsubscribe list of an Optimail account: the addresses that get no marketing mail of a brand, and since when.

It is the suppression list of the brand's e-mail channels: whoever is suppressed on one of them, or on all channels, by
wish (not for a bounce) and by an address that is known, stands on it. A channel that joins the brand takes it over.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.addresses import address_key, is_email_address
from rapport.channels.brands import brands, joining
from rapport.errors import NotFound
from rapport.messaging.contactability import copied_addresses, suppressed_addresses, suppressions
from rapport.messaging.contactability.suppressed_addresses import COLUMN, SUPPRESSED
from rapport.messaging.contactability.suppressions import BOUNCED, UNSUBSCRIBED, USUAL_SOURCES, Why
from rapport.messaging.models import EVERY_CHANNEL, Suppression, WishSource
from rapport.stores.records.sealing import Sealed

AT_ONCE = 10_000
LIST = text("""
    SELECT address, unsubscribed_at FROM (
        SELECT mark, (array_agg(address ORDER BY added_at, customer_key) FILTER (WHERE address IS NOT NULL))[1]
            AS address, min(added_at) AS unsubscribed_at
        FROM suppressed_addresses
        WHERE tenant_id = :tenant_id AND channel_id = ANY(CAST(:channels AS integer[])) AND app_key = ''
            AND listed = :listed AND reason <> 'bounced'
        GROUP BY mark
    ) AS entry
    WHERE address IS NOT NULL AND (CAST(:begin AS timestamptz) IS NULL OR unsubscribed_at >= :begin)
        AND (CAST(:end AS timestamptz) IS NULL OR unsubscribed_at < :end)
    ORDER BY unsubscribed_at, mark LIMIT :most OFFSET :skip
""").columns(address=Sealed(COLUMN, None))


@dataclass(frozen=True)
class Unsubscriber:
    """An address on the list of a brand, and the instant of its first wish."""

    address: str
    unsubscribed_at: datetime


def channels_of_brand(scope: Scope, brand_id: int) -> list[int]:
    """The e-mail channels of a brand. Raises NotFound for a brand that there is not, or that has none yet."""
    ids = brands.channels_of(scope, brand_id)
    if not ids:
        raise NotFound(f"Brand {brand_id} has no e-mail channel yet.")
    return ids


def unsubscribers(
    scope: Scope, brand_id: int, first: date | None, last: date | None, most: int, skip: int
) -> list[Unsubscriber]:
    """The list of a brand, oldest first, of whoever unsubscribed from the first to the last day (UTC). Raises NotFound.

    Skips so many, then gives so many at most.
    """
    return listed(scope, channels_of_brand(scope, brand_id), first, last, most, skip)


def listed(
    scope: Scope, channel_ids: Sequence[int], first: date | None, last: date | None, most: int, skip: int
) -> list[Unsubscriber]:
    """The same of some channels."""
    parameters = {
        "tenant_id": scope.tenant_id,
        "channels": [EVERY_CHANNEL, *channel_ids],
        "listed": SUPPRESSED,
        "begin": first and datetime.combine(first, time(), UTC),
        "end": last and datetime.combine(last + timedelta(days=1), time(), UTC),
        "most": most,
        "skip": skip,
    }
    with scope.stores.records.reading() as connection:
        return [Unsubscriber(str(row.address), row.unsubscribed_at) for row in connection.execute(LIST, parameters)]


def are_addresses(addresses: Sequence[str]) -> bool:
    """Whether all texts are e-mail addresses."""
    return all(is_email_address(address_key(address)) for address in addresses)


def add_unsubscribers(scope: Scope, brand_id: int, addresses: Sequence[str]) -> None:
    """Put addresses on the list of a brand; those that are there stay as they are. Raises NotFound."""
    put_on(scope, channels_of_brand(scope, brand_id), addresses, WishSource.API)


def put_on(scope: Scope, channel_ids: Sequence[int], addresses: Sequence[str], source: WishSource) -> None:
    """Put addresses, which are some of their form, on the list of channels."""
    why = Why.of(UNSUBSCRIBED, source)
    with scope.records() as session:
        for channel_id in channel_ids:
            new = suppressions.keep_checked(scope, session, channel_id, addresses, why)
            suppressions.audit_addresses(scope, session, channel_id, why, new)


def delete_unsubscriber(scope: Scope, brand_id: int, address: str) -> None:
    """Take an address off the list of a brand; one that is not there is no error. Raises NotFound for the brand.

    What goes for all channels goes on for those of others: it becomes a wish for each.
    """
    take_off(scope, channels_of_brand(scope, brand_id), address, WishSource.API)


def take_off(scope: Scope, own: Sequence[int], address: str, source: WishSource) -> None:
    """Take an address off the list of channels, as delete_unsubscriber does off that of a brand."""
    with scope.records() as session:
        reasons = _reasons_everywhere(scope, address)
        if keys := suppressions.let_address_in(scope, session, EVERY_CHANNEL, address, source):
            why = Why.of(reasons[0] if reasons else UNSUBSCRIBED, source)
            for channel_id in (channel.id for channel in channels.channels(scope) if channel.id not in own):
                suppressions.keep_checked(scope, session, channel_id, [address], why)
                suppressions.keep_keys(scope, session, channel_id, keys, why)
        for channel_id in own:
            suppressions.let_address_in(scope, session, channel_id, address, source)


def _inherit(scope: Scope, session: Session, channel_id: int, others: Sequence[int]) -> None:
    """Suppress on a channel who is suppressed by wish on others of its brand: persons, and addresses by themselves."""
    addresses = copied_addresses.copy(scope, session, others, channel_id)
    by_wish = (Suppression.tenant_id == scope.tenant_id, Suppression.reason != BOUNCED)
    of_others = select(Suppression).where(*by_wish, Suppression.channel_id.in_(others))
    by_why: dict[Why, list[str]] = defaultdict(list)
    for entry in session.scalars(of_others.order_by(Suppression.created_at, Suppression.customer_key)):
        source = WishSource(entry.source) if entry.source else USUAL_SOURCES[entry.reason]
        by_why[Why(entry.reason, source)].append(entry.customer_key)
    for why, keys in by_why.items():
        for begin in range(0, len(keys), AT_ONCE):
            suppressions.keep_keys(scope, session, channel_id, keys[begin : begin + AT_ONCE], why)
    if by_why or addresses:
        persons = len({key for keys in by_why.values() for key in keys})
        scope.audit(session, "inherit", f"unsubscribes on channel {channel_id}", customers=persons, addresses=addresses)


joining.register_handler(_inherit)


def _reasons_everywhere(scope: Scope, address: str) -> list[str]:
    entries = suppressed_addresses.of_address(scope, address)
    return [entry.reason for entry in entries if entry.channel_id == EVERY_CHANNEL and entry.reason]
