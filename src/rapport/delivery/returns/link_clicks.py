"""How often each link of the messages of a campaign or send was followed, persons and machines apart."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import orjson
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.delivery.models import LinkClicks, MailEvent, MailEventKind
from rapport.messaging.tracking import links
from rapport.messaging.tracking.tokens import SentFor

# In order of the key, so that two callers never wait for each other for ever.
ADD = text("""
    INSERT INTO link_clicks (tenant_id, sent_for, source_id, channel_id, template_id, link_id, clicks, machine_clicks)
    SELECT tenant_id, sent_for, source_id, channel_id, template_id, link_id, clicks, machine_clicks
    FROM json_to_recordset(CAST(:rows AS json)) AS followed (tenant_id int, sent_for int, source_id bigint,
        channel_id int, template_id int, link_id int, clicks bigint, machine_clicks bigint)
    ORDER BY tenant_id, sent_for, source_id, channel_id, template_id, link_id
    ON CONFLICT (tenant_id, sent_for, source_id, channel_id, template_id, link_id) DO UPDATE
        SET clicks = link_clicks.clicks + excluded.clicks,
            machine_clicks = link_clicks.machine_clicks + excluded.machine_clicks
""")
PLACE = ("tenant_id", "sent_for", "source_id", "channel_id", "template_id", "link_id")


@dataclass(frozen=True, slots=True)
class FollowedLink:
    """A link of a template on a channel, where it leads, and how often persons and machines followed it."""

    channel_id: int
    template_id: int
    url: str
    clicks: int
    machine_clicks: int


def add(session: Session, events: Iterable[MailEvent]) -> None:
    """Count the clicks on links among events, in the transaction that takes the events out of the queue.

    Where a message is one link, as in an inbox, its clicks have none.
    """
    by_persons: Counter[tuple[int, ...]] = Counter()
    by_machines: Counter[tuple[int, ...]] = Counter()
    for event in events:
        if event.kind == MailEventKind.CLICKED and event.link_id:
            place = tuple(int(getattr(event, name)) for name in PLACE)
            (by_machines if event.by_machine else by_persons)[place] += 1
    places = by_persons.keys() | by_machines.keys()
    rows = [
        {
            **dict(zip(PLACE, place, strict=True)),
            "clicks": by_persons[place],
            "machine_clicks": by_machines[place],
        }
        for place in places
    ]
    if rows:
        session.execute(ADD, {"rows": orjson.dumps(rows).decode()})


def followed_links(scope: Scope, sent_for: SentFor, source_id: int) -> list[FollowedLink]:
    """The links of the messages of a campaign or send that were followed, those that persons followed most first."""
    query = select(LinkClicks).where(
        LinkClicks.tenant_id == scope.tenant_id, LinkClicks.sent_for == sent_for, LinkClicks.source_id == source_id
    )
    most_first = (LinkClicks.clicks.desc(), LinkClicks.channel_id, LinkClicks.template_id, LinkClicks.link_id)
    with scope.reads() as session:
        rows = list(session.scalars(query.order_by(*most_first)))
    return [
        FollowedLink(
            row.channel_id, row.template_id, links.destination(scope, row.link_id), row.clicks, row.machine_clicks
        )
        for row in rows
    ]
