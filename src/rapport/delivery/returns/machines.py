"""Whether a person or a machine opened a message or followed a link of it.

Machines are told by what they say of themselves, by how soon after the message was written they come, and by clicks on
several links at once. Image proxies that fetch when a person opens the message (Gmail, Yahoo) are persons; a proxy that
fetches everything in advance (Apple Mail Privacy Protection) is a machine, since its opens say nothing.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from rapport.delivery.models import MailEvent, MailEventKind

# Nobody has a message this soon after it was written; scanners on its way do.
SOONEST = timedelta(seconds=3)
# A person does not follow so many links within such a time.
AT_ONCE, MOST_LINKS = timedelta(seconds=3), 3
BY_PERSONS = re.compile(r"GoogleImageProxy|YahooMailProxy", re.IGNORECASE)
# Apple's proxy says no more than this.
APPLE_PROXY = "Mozilla/5.0"
MACHINES = re.compile(
    r"bot\b|crawl|spider|scan|preview|prefetch|facebookexternalhit|slackbot|headless|phantomjs|"
    r"barracuda|proofpoint|mimecast|fireeye|trendmicro|symantec|messagelabs|forcepoint|cloudmark|sophos|fortinet|"
    r"safelinks|urlscan|virustotal|trustwave|cisco|ironport|zscaler|"
    r"python|curl|wget|libwww|java/|okhttp|go-http-client|node-fetch|axios|httpclient|ruby|perl|php",
    re.IGNORECASE,
)
PREFETCHING = ("sec-purpose", "purpose", "x-purpose", "x-moz")


def is_machine(headers: Mapping[str, str], method: str, written_at: datetime | None, at: datetime) -> bool:
    """Whether a request for the pixel or a link is a machine's. headers are by lower-case name, times are instants."""
    agent = headers.get("user-agent", "").strip()
    if method == "HEAD" or any(re.search("prefetch|preview", headers.get(name, "")) for name in PREFETCHING):
        return True
    if written_at is not None and at - written_at < SOONEST:
        return True
    if BY_PERSONS.search(agent):
        return False
    return agent in ("", APPLE_PROXY) or MACHINES.search(agent) is not None


def clicks_at_once(events: Iterable[MailEvent]) -> set[int]:
    """The ids of clicks on several links of a message at once, which a machine made."""
    clicks: dict[str, list[MailEvent]] = defaultdict(list)
    for event in events:
        if event.kind == MailEventKind.CLICKED:
            clicks[event.message_key].append(event)
    machines: set[int] = set()
    for of_message in clicks.values():
        of_message.sort(key=lambda event: event.at)
        for first in of_message:
            at_once = [event for event in of_message if first.at <= event.at < first.at + AT_ONCE]
            if len({event.link_id for event in at_once}) >= MOST_LINKS:
                machines |= {event.id for event in at_once}
    return machines
