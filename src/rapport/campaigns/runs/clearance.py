"""Conditional runs wait after processing: an outside system is asked whom to approve, and its reports are kept.

What becomes of them at the deadline is decided in `clearing`; silence means no.
"""

# ruff: noqa: S608 - statements are put together of constants

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.campaigns.models import Occurrence, OccurrenceChannel
from rapport.campaigns.occurrences import locked, occurrence
from rapport.campaigns.settings import CampaignSettings
from rapport.campaigns.states import RunState
from rapport.conditions.outcomes import Outcome
from rapport.errors import Conflict, Invalid, RapportError
from rapport.notifications import service as notifications
from rapport.stores.clock import wall_time
from rapport.stores.records import next_id
from rapport.stores.workers.listening import Topic, publish

NOT_CLEARED, REFUSED = "not cleared", "refused"
LEFT_OUT = f"channel_id > 0 AND outcome = '{Outcome.EXCLUDED}' AND reason IN ('{NOT_CLEARED}', '{REFUSED}')"
MAX_REPORTED = 10_000
CALLS = "clearance call"

# The last report of every customer: reports are numbered in the order in which they were accepted.
VERDICTS = """
    SELECT lowerUTF8(customer_id) AS customer_key, argMax(status, seq) AS approved, count() AS reports
    FROM campaign_clearances
    WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
    GROUP BY customer_key
"""

# Asked about are those who wait, and those who were left out at the deadline.
STANDING = f"""
    SELECT
        countIf(asked), countIf(asked AND approved), countIf(asked AND reports > 0 AND NOT approved),
        countIf(asked AND reports = 0), countIf(NOT asked)
    FROM (
        SELECT customer_key, max(waits) AS asked, countIf(waits = 0) AS reports,
            argMaxIf(status, seq, waits = 0) AS approved
        FROM (
            SELECT lowerUTF8(customer_id) AS customer_key, 1 AS waits, 0 AS status, 0 AS seq FROM campaign_recipients
            WHERE execution_date = {{execution_date:Date}} AND campaign_id = {{campaign:UInt32}} AND channel_id > 0
            UNION ALL
            SELECT lowerUTF8(customer_id), 1, 0, 0 FROM campaign_outcomes
            WHERE execution_date = {{execution_date:Date}} AND campaign_id = {{campaign:UInt32}}
                AND {LEFT_OUT}
            UNION ALL
            SELECT lowerUTF8(customer_id), 0, status, seq FROM campaign_clearances
            WHERE execution_date = {{execution_date:Date}} AND campaign_id = {{campaign:UInt32}}
        )
        GROUP BY customer_key
    )
"""

VERDICT_OF = """
    SELECT argMax(status, seq) FROM campaign_clearances
    WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
        AND lowerUTF8(customer_id) = lowerUTF8({customer:String})
    HAVING count() > 0
"""


@dataclass(frozen=True)
class Clearance:
    """The state of the approval of a conditional campaign; counts customers, not units. Instants are UTC.

    unknown: reported customers who are not recipients, for example because of a wrong ID.
    """

    campaign_id: int
    state: str
    clearance_by: datetime | None
    cleared_at: datetime | None
    customers: int
    approved: int
    refused: int
    unreported: int
    unknown: int


def ask_clearance(scope: Scope, session: Session, campaign_id: int) -> None:
    """Set the deadline and announce it with event 5, in the transaction that makes a run wait.

    The deadline is clearance_minutes before the first send. A run that is processed so late that less
    than clearance_review_minutes would be left gets that much time, to the next full minute; sends that
    would follow the deadline by less than clearance_minutes move there, later ones stay.
    """
    rows = session.scalars(
        select(OccurrenceChannel).where(
            OccurrenceChannel.tenant_id == scope.tenant_id, OccurrenceChannel.campaign_id == campaign_id
        )
    ).all()
    settings = tenant_settings(scope, CampaignSettings)
    lead = timedelta(minutes=settings.clearance_minutes)
    soonest = _full_minute(scope.clock.now() + timedelta(minutes=settings.clearance_review_minutes))
    deadline = max(min(scope.instant(row.scheduled_time) for row in rows) - lead, soonest)
    for row in rows:
        if scope.instant(row.scheduled_time) < deadline + lead:
            row.scheduled_time = wall_time(deadline + lead, scope.time_zone)
    campaign = locked(scope, session, campaign_id)
    campaign.clearance_by = deadline
    campaign.to_publish = campaign.plan.rules.publishes_promotions
    payload = {
        "CampaignID": campaign_id,
        "ClearanceRequiredBy": f"{wall_time(deadline, scope.time_zone):%Y-%m-%d %H:%M:%S}",
    }
    notifications.notify(scope, session, 5, payload, f"5:{campaign_id}")
    publish(session, Topic.SCHEDULE, scope.tenant_id)


def _full_minute(at: datetime) -> datetime:
    floor = at.replace(second=0, microsecond=0)
    return floor if floor == at else floor + timedelta(minutes=1)


def report(
    scope: Scope, campaign_id: int, statuses: Sequence[tuple[str, bool]], reported: datetime | None = None
) -> None:
    """Keep what an outside system says of customers of a campaign that waits: CustomerID and whether approved.

    The last status of a customer counts, within a call and over calls; ids match ignoring case. reported
    is the caller's time (tenant wall clock), kept for information. The campaign is held for the length of
    the write, so that a report is either in before the decision or refused. Raises Invalid.
    """
    if len(statuses) > MAX_REPORTED:
        raise Invalid(f"PromosUpdated must not have more than {MAX_REPORTED} customers.")
    with accepting(scope, campaign_id) as (campaign, first):
        keep(scope, campaign, first, statuses, reported and reported.replace(tzinfo=UTC))


@contextmanager
def accepting(
    scope: Scope, campaign_id: int, refusal: type[RapportError] = Invalid
) -> Iterator[tuple[Occurrence, int]]:
    """A campaign that waits for the length of the block, and the number of the first of up to MAX_REPORTED reports.

    Raises Invalid when there is none, and the refusal when nothing can be reported of it.
    """
    first = first_number(scope)
    with scope.records() as session:
        campaign = session.get(Occurrence, (scope.tenant_id, campaign_id), with_for_update={"read": True})
        if campaign is None:
            raise Invalid(f"CampaignID {campaign_id} is not a campaign.")
        if objection := _objection(scope, campaign):
            raise refusal(objection)
        yield campaign, first


def first_number(scope: Scope) -> int:
    """The number of the first of up to MAX_REPORTED reports: higher than those of all before."""
    with scope.records() as session:
        return next_id(session, scope.tenant_id, CALLS) * MAX_REPORTED


def keep(
    scope: Scope,
    campaign: Occurrence,
    first: int,
    statuses: Sequence[tuple[str, bool]],
    stated_time: datetime | None = None,
) -> None:
    """Write whether customers of a campaign that is held are approved; first is the number of the first report."""
    common = (campaign.execution_date, campaign.id, scope.clock.now(), stated_time)
    rows = [(*common, customer_id, int(status), first + n) for n, (customer_id, status) in enumerate(statuses)]
    names = ("execution_date", "campaign_id", "reported_at", "stated_time", "customer_id", "status", "seq")
    scope.warehouse.insert("campaign_clearances", names, rows)


def _objection(scope: Scope, campaign: Occurrence) -> str:
    """Why nothing can be reported of a campaign now; empty when it can."""
    if campaign.is_triggered:
        return f"Campaign {campaign.id} is triggered: the conditional gateway is asked about its customers."
    if not campaign.conditional:
        return f"Campaign {campaign.id} is not conditional: it does not wait for clearance."
    if campaign.cleared_at or (campaign.clearance_by and campaign.clearance_by <= scope.clock.now()):
        return f"The deadline of campaign {campaign.id} has passed: customers can no longer be cleared."
    if campaign.state != RunState.AWAITING_CLEARANCE:
        return f"Campaign {campaign.id} is {campaign.state} and does not wait for clearance."
    return ""


def _parameters(campaign: Occurrence) -> dict[str, Any]:
    return {"execution_date": campaign.execution_date, "campaign": campaign.id}


def clearance(scope: Scope, campaign_id: int) -> Clearance:
    """How the approval of a campaign stands. Raises NotFound, and Conflict for one that is not conditional."""
    campaign = occurrence(scope, campaign_id)
    if not campaign.conditional or campaign.is_triggered:
        raise Conflict(f"Campaign {campaign_id} is not conditional: it does not wait for approval.")
    row = scope.warehouse.row(STANDING, **_parameters(campaign))
    customers, approved, refused, unreported, unknown = (int(n) for n in row or (0, 0, 0, 0, 0))
    return Clearance(
        campaign_id=campaign_id,
        state=campaign.state,
        clearance_by=campaign.clearance_by,
        cleared_at=campaign.cleared_at,
        customers=customers,
        approved=approved,
        refused=refused,
        unreported=unreported,
        unknown=unknown,
    )


def reported_status(scope: Scope, campaign: Occurrence, customer_id: str) -> str:
    """What was reported of a customer so far, in words."""
    status = scope.warehouse.value(VERDICT_OF, customer=customer_id, **_parameters(campaign))
    return "nothing was reported" if status is None else "approved" if status else "refused"
