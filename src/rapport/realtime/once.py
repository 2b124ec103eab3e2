"""A triggered campaign writes to an address once a day for one person: whoever shares it and comes later is skipped.

Who has an address of a campaign's channel is decided by a unique row, so that it holds whatever happens at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.pseudonyms import pseudonyms
from rapport.access.scope import Scope
from rapport.messaging import service as messaging
from rapport.realtime.reach import Fault

SAME_ADDRESS: Fault = ("skipped", "same address")

# In order of the key, so that two callers with the same addresses wait for each other and never lock up.
TAKE = text("""
    INSERT INTO firing_addresses (tenant_id, campaign_id, channel_id, mark, holder)
    SELECT :tenant_id, campaign, channel, mark, holder
    FROM unnest(CAST(:campaigns AS integer[]), CAST(:channels AS integer[]), CAST(:marks AS text[]),
        CAST(:holders AS text[])) AS given (campaign, channel, mark, holder)
    ORDER BY campaign, channel, mark
    ON CONFLICT DO NOTHING
""")
HOLDERS = text("""
    SELECT campaign_id, channel_id, mark, holder FROM firing_addresses
    WHERE tenant_id = :tenant_id AND (campaign_id, channel_id, mark) IN (
        SELECT * FROM unnest(CAST(:campaigns AS integer[]), CAST(:channels AS integer[]), CAST(:marks AS text[]))
    )
""")
FORGET = text("DELETE FROM firing_addresses WHERE tenant_id = :tenant_id AND campaign_id = :campaign_id")


@dataclass(frozen=True, slots=True)
class Going:
    """A person to whom a campaign is about to go, with the addresses of the channels on which it can be reached."""

    campaign_id: int
    person: str
    addresses: Mapping[int, str]


def refused(scope: Scope, session: Session, going: Sequence[Going]) -> list[dict[int, Fault]]:
    """The channels on which somebody else has the address already, of each; the others are taken for the person."""
    wanted = sorted(
        (one.campaign_id, channel, address, one.person) for one in going for channel, address in one.addresses.items()
    )
    if not wanted:
        return [{} for _ in going]
    marks = messaging.address_marks(scope, [address for _, _, address, _ in wanted])
    holders = pseudonyms(scope, [person for *_, person in wanted])
    bound = {
        "tenant_id": scope.tenant_id,
        "campaigns": [campaign for campaign, *_ in wanted],
        "channels": [channel for _, channel, *_ in wanted],
        "marks": marks,
    }
    session.execute(TAKE, {**bound, "holders": holders})
    found = {(campaign, channel, mark): holder for campaign, channel, mark, holder in session.execute(HOLDERS, bound)}
    late = {
        (campaign, channel, person)
        for (campaign, channel, _, person), mark, own in zip(wanted, marks, holders, strict=True)
        if mark and found[campaign, channel, mark] != own
    }
    return [
        {channel: SAME_ADDRESS for channel in one.addresses if (one.campaign_id, channel, one.person) in late}
        for one in going
    ]


def forget(scope: Scope, session: Session, campaign_id: int) -> None:
    """Drop who had which address of a campaign that is over."""
    session.execute(FORGET, {"tenant_id": scope.tenant_id, "campaign_id": campaign_id})
