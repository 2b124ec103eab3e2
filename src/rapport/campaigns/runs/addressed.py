"""What a few customers have had from campaigns, for the rules of triggered ones."""

from collections.abc import Sequence
from datetime import date

from rapport.access.scope import Scope
from rapport.campaigns.models import Series
from rapport.campaigns.occurrences import imagined_run, live_ids, running_ids
from rapport.campaigns.runs.processing import LONGEST_RUN, running_beside
from rapport.campaigns.states import LIVE_STATES

RUNNING = """
    SELECT DISTINCT customer_id FROM campaign_recipients
    WHERE execution_date >= {since:Date} AND campaign_id IN {running:Array(UInt32)}
        AND customer_id IN {ids:Array(String)}
"""
MESSAGES = """
    SELECT customer_id, sum(messages) FROM campaign_recipients
    WHERE execution_date BETWEEN {first:Date} AND {today:Date} AND campaign_id IN {live:Array(UInt32)}
        AND customer_id IN {ids:Array(String)}
    GROUP BY customer_id
"""


def in_running(scope: Scope, customer_ids: Sequence[str], series: Series | None = None) -> set[str]:
    """Those customers who are in a scheduled campaign whose results are measured today.

    Of a series: in one that would keep them out of its run of today.
    """
    today = scope.today()
    campaign_ids = running_beside(scope, imagined_run(scope, series, today)) if series else running_ids(scope, today, 1)
    if not campaign_ids or not customer_ids:
        return set()
    parameters = {"since": today - LONGEST_RUN, "running": campaign_ids, "ids": list(customer_ids)}
    return {str(customer_id) for (customer_id,) in scope.warehouse.rows(RUNNING, **parameters)}


def scheduled_messages(scope: Scope, customer_ids: Sequence[str], first: date) -> dict[str, int]:
    """How many messages of scheduled campaigns customers had from a tenant day on; those without any are absent.

    Whoever was held back counts as if the messages had been sent.
    """
    today = scope.today()
    campaign_ids = live_ids(scope, LIVE_STATES, first, today, excluded_id=0, triggered=False)
    if not campaign_ids or not customer_ids:
        return {}
    parameters = {"first": first, "today": today, "live": campaign_ids, "ids": list(customer_ids)}
    return {str(customer_id): int(messages) for customer_id, messages in scope.warehouse.rows(MESSAGES, **parameters)}
