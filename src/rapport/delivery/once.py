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
from rapport.messaging.contactability import suppressed_addresses
from rapport.messaging.contactability.kept_off import FAULTS
from rapport.messaging.contactability.kept_off import SAME_ADDRESS as MESSAGING_SAME_ADDRESS

# What becomes of a message that is not sent: its outcome and reason.
Refusal = tuple[str, str]
SAME_ADDRESS: Refusal = FAULTS[MESSAGING_SAME_ADDRESS]

# In order of the key, so that two callers with the same addresses wait for each other and never lock up.
TAKE = text("""
    INSERT INTO firing_addresses (tenant_id, campaign_id, channel_id, mark, holder)
    SELECT :tenant_id, campaign, channel, mark, holder
    FROM unnest(CAST(:campaigns AS integer[]), CAST(:channels AS integer[]), CAST(:marks AS text[]),
        CAST(:holders AS text[])) WITH ORDINALITY AS addresses (campaign, channel, mark, holder, ordinal)
    ORDER BY campaign, channel, mark, ordinal
    ON CONFLICT DO NOTHING
""")
HOLDERS = text("""
    SELECT campaign_id, channel_id, mark, holder FROM firing_addresses
    WHERE tenant_id = :tenant_id AND (campaign_id, channel_id, mark) IN (
        SELECT * FROM unnest(CAST(:campaigns AS integer[]), CAST(:channels AS integer[]), CAST(:marks AS text[]))
    )
""")
GIVE_UP = text("""
    DELETE FROM firing_addresses USING unnest(CAST(:campaigns AS integer[]), CAST(:holders AS text[]))
        AS given_up (campaign_id, holder)
    WHERE firing_addresses.tenant_id = :tenant_id AND firing_addresses.campaign_id = given_up.campaign_id
        AND firing_addresses.holder = given_up.holder
""")
FORGET = text("DELETE FROM firing_addresses WHERE tenant_id = :tenant_id AND campaign_id = :campaign_id")


@dataclass(frozen=True, slots=True)
class Recipient:
    """A person to whom a campaign is about to go, with the addresses of the channels on which it can be reached."""

    campaign_id: int
    person: str
    addresses: Mapping[int, str]


def refused(scope: Scope, records: Session | Connection, recipients: Sequence[Recipient]) -> list[dict[int, Refusal]]:
    """The channels on which somebody else has the address already, of each; the others are taken for the person.

    Of two who are given together the one with the lower id has it. May be repeated.
    """
    marked = sorted(
        (recipient.campaign_id, channel, mark, recipient.person)
        for recipient, marks in zip(recipients, _marked(scope, recipients), strict=True)
        for channel, mark in marks.items()
        if mark
    )
    if not marked:
        return [{} for _ in recipients]
    holders = pseudonyms(scope, [person for *_, person in marked])
    parameters = {
        "tenant_id": scope.tenant_id,
        "campaigns": [campaign for campaign, *_ in marked],
        "channels": [channel for _, channel, *_ in marked],
        "marks": [mark for _, _, mark, _ in marked],
    }
    taken = records.execute(TAKE, {**parameters, "holders": holders})
    if isinstance(taken, CursorResult) and taken.rowcount == len(marked):
        return [{} for _ in recipients]
    holder_of = {
        (campaign, channel, mark): holder for campaign, channel, mark, holder in records.execute(HOLDERS, parameters)
    }
    late = {
        (campaign, channel, person)
        for (campaign, channel, mark, person), own in zip(marked, holders, strict=True)
        if holder_of[campaign, channel, mark] != own
    }
    return [
        {
            channel: SAME_ADDRESS
            for channel in recipient.addresses
            if (recipient.campaign_id, channel, recipient.person) in late
        }
        for recipient in recipients
    ]


def _marked(scope: Scope, recipients: Sequence[Recipient]) -> list[dict[int, str]]:
    """The marks of the addresses of each, by channel."""
    marks = iter(
        suppressed_addresses.marks_of(
            scope, [address for recipient in recipients for address in recipient.addresses.values()]
        )
    )
    return [{channel: next(marks) for channel in recipient.addresses} for recipient in recipients]


def give_up(scope: Scope, session: Session, persons: Sequence[tuple[int, str]]) -> None:
    """Let others have the addresses that campaigns, by id, took for persons to whom nothing goes after all."""
    if persons:
        holders = pseudonyms(scope, [person for _, person in persons])
        campaigns = [campaign_id for campaign_id, _ in persons]
        session.execute(GIVE_UP, {"tenant_id": scope.tenant_id, "campaigns": campaigns, "holders": holders})


def forget(scope: Scope, session: Session, campaign_id: int) -> None:
    """Drop who had which address of a campaign that is over."""
    session.execute(FORGET, {"tenant_id": scope.tenant_id, "campaign_id": campaign_id})
