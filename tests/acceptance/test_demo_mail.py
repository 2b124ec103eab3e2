"""The demo's mail: its customers open and click what they really received."""

from lived import Demo
from sqlalchemy import text

from rapport.demo.mail_programs import CLICK_RATE, OPEN_RATE

EMAIL = 504
OPENED, CLICKED, UNSUBSCRIBED, BOUNCED = 2, 3, 4, 7
SENT = "SELECT count() FROM campaign_outcomes WHERE outcome = 'sent' AND channel_id = {email:UInt32}"
DONE = """
    SELECT event_id, count(), countIf(origin = 'mail'), uniqExact((campaign_id, customer_id))
    FROM campaign_interactions WHERE channel_id = {email:UInt32} GROUP BY event_id
"""
STOPPED = """
    SELECT DISTINCT lower(customer_id) FROM campaign_interactions
    WHERE event_id IN (4, 7) AND channel_id = {email:UInt32}
"""


def test_interactions_with_mail_come_from_the_mail(demo: Demo) -> None:
    sent = int(demo.scope.warehouse.value(SENT, email=EMAIL))
    done = {int(event): tuple(map(int, counts)) for event, *counts in demo.scope.warehouse.rows(DONE, email=EMAIL)}
    assert sent == demo.result.messages
    for event, rate in ((OPENED, OPEN_RATE), (CLICKED, CLICK_RATE)):
        count, by_mail, messages = done[event]
        spread = (rate * (1 - rate) / sent) ** 0.5
        assert count == by_mail and abs(messages / sent - rate) < 5 * spread, event
    assert done.keys() <= {OPENED, CLICKED, UNSUBSCRIBED, BOUNCED}


def test_clicks_are_counted_by_link_and_nobody_is_written_to_who_left(demo: Demo) -> None:
    with demo.scope.reads() as session:
        mine = {"tenant_id": demo.scope.tenant_id}
        urls = """SELECT link.url, sum(counted.clicks) FROM link_clicks AS counted
            JOIN tracked_links AS link ON link.tenant_id = counted.tenant_id AND link.id = counted.link_id
            WHERE counted.tenant_id = :tenant_id GROUP BY link.url"""
        clicks = {str(url): int(count) for url, count in session.execute(text(urls), mine)}
        waiting = session.scalar(text("SELECT count(*) FROM mail_events WHERE tenant_id = :tenant_id"), mine)
        names = text("SELECT customer_key FROM suppressions WHERE tenant_id = :tenant_id")
        suppressed = {str(key) for key in session.scalars(names, mine)}
    assert clicks and all("/demo/shop/" in url for url in clicks) and waiting == 0
    stopped = {str(key) for (key,) in demo.scope.warehouse.rows(STOPPED, email=EMAIL)}
    assert stopped <= suppressed
