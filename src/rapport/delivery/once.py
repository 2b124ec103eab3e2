"""A campaign writes to an address for one person on a channel: whoever shares it and comes later is skipped.

Processing a run finds who shares an address then; what people change until their message leaves is found here. Of a
triggered campaign, whose days are campaigns, it is all that is found. Who has an address is decided by a unique row,
so that it holds whatever happens at once, and after a kill.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, CursorResult, text
from sqlalchemy.orm import Session

from rapport.access.pseudonyms import pseudonyms
from rapport.access.scope import Scope
from rapport.messaging import service as messaging

# What becomes of a message that is not sent: its outcome and reason.
Ended = tuple[str, str]
SAME_ADDRESS: Ended = messaging.FAULTS[messaging.SAME_ADDRESS]

# In order of the key, so that two callers with the same addresses wait for each other and never lock up.
TAKE = text("""
    INSERT INTO firing_addresses (tenant_id, campaign_id, channel_id, mark, holder)
    SELECT :tenant_id, campaign, channel, mark, holder
    FROM unnest(CAST(:campaigns AS integer[]), CAST(:channels AS integer[]), CAST(:marks AS text[]),
        CAST(:holders AS text[])) WITH ORDINALITY AS given (campaign, channel, mark, holder, place)
    ORDER BY campaign, channel, mark, place
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


def refused(scope: Scope, records: Session | Connection, going: Sequence[Going]) -> list[dict[int, Ended]]:
    """The channels on which somebody else has the address already, of each; the others are taken for the person.

    Of two who are given together the one with the lower id has it. May be repeated.
    """
    wanted = sorted(
        (one.campaign_id, channel, mark, one.person)
        for one, marks in zip(going, _marked(scope, going), strict=True)
        for channel, mark in marks.items()
        if mark
    )
    if not wanted:
        return [{} for _ in going]
    holders = pseudonyms(scope, [person for *_, person in wanted])
    bound = {
        "tenant_id": scope.tenant_id,
        "campaigns": [campaign for campaign, *_ in wanted],
        "channels": [channel for _, channel, *_ in wanted],
        "marks": [mark for _, _, mark, _ in wanted],
    }
    taken = records.execute(TAKE, {**bound, "holders": holders})
    if isinstance(taken, CursorResult) and taken.rowcount == len(wanted):
        return [{} for _ in going]
    found = {(campaign, channel, mark): holder for campaign, channel, mark, holder in records.execute(HOLDERS, bound)}
    late = {
        (campaign, channel, person)
        for (campaign, channel, mark, person), own in zip(wanted, holders, strict=True)
        if found[campaign, channel, mark] != own
    }
    return [
        {channel: SAME_ADDRESS for channel in one.addresses if (one.campaign_id, channel, one.person) in late}
        for one in going
    ]


def _marked(scope: Scope, going: Sequence[Going]) -> list[dict[int, str]]:
    """The marks of the addresses of each, by channel."""
    marks = iter(messaging.address_marks(scope, [address for one in going for address in one.addresses.values()]))
    return [{channel: next(marks) for channel in one.addresses} for one in going]


def forget(scope: Scope, session: Session, campaign_id: int) -> None:
    """Drop who had which address of a campaign that is over."""
    session.execute(FORGET, {"tenant_id": scope.tenant_id, "campaign_id": campaign_id})
