"""What a person does to runs: run now, one-time on a list, cancel, confirm."""

from datetime import date

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.audiences import lists
from rapport.campaigns.cycle import tasks
from rapport.campaigns.definitions import check_excluded, check_groups
from rapport.campaigns.definitions import series as get_series
from rapport.campaigns.delivery import rounds
from rapport.campaigns.delivery.completion import finish_campaign
from rapport.campaigns.delivery.units import unit_of
from rapport.campaigns.goals import check_goal
from rapport.campaigns.models import Occurrence, OccurrenceChannel, Series
from rapport.campaigns.occurrences import channel_rows, locked, occurrence, plan_next_run, plan_run
from rapport.campaigns.plans import PlannedGroup, PlannedRules
from rapport.campaigns.runs.clearance import ask_clearance
from rapport.campaigns.runs.clearance_deadline import clear
from rapport.campaigns.schemas import Group, OneTimeBody, Schedule
from rapport.campaigns.states import Portion, RunState, SeriesStatus, Split
from rapport.errors import Conflict
from rapport.notifications import service as notifications
from rapport.stores.records import next_id
from rapport.stores.workflows import work

PROCESSED_OPEN = (RunState.AWAITING_CLEARANCE, RunState.AWAITING_CONFIRMATION, RunState.SCHEDULED, RunState.EXECUTING)


def run_now(scope: Scope, series_id: int, *, wait: bool = False) -> Occurrence:
    """Run a series today on the newest data, besides its planned run.

    Raises NotFound, and Conflict for a series that is not active or of a one-time campaign, and before the first
    daily cycle.
    """
    data_date = _data_date(scope)
    if objection := _objection(get_series(scope, series_id)):
        raise Conflict(objection)
    campaign_id = plan_next_run(scope, series_id, scope.today())
    return _start(scope, campaign_id, data_date, wait)


def _objection(series: Series) -> str:
    """Why a series must not be run by hand; empty when it may."""
    if series.customer_list_id is not None:
        return f"Series {series.id} is of a one-time campaign, which runs once: create another one-time campaign."
    if series.status == SeriesStatus.PAUSED:
        return f"Series {series.id} is paused: make it active first, or count with its dry run whom it would reach."
    return "" if series.status == SeriesStatus.ACTIVE else f"Series {series.id} is {series.status} and cannot run."


def _data_date(scope: Scope) -> date:
    data_date = scope.data_date()
    if data_date is None:
        raise Conflict("No daily cycle has finished yet, so there are no customers to run a campaign on.")
    return data_date


def _start(scope: Scope, campaign_id: int, data_date: date, wait: bool) -> Occurrence:
    with scope.records() as session:
        scope.audit(session, "run", f"campaign {campaign_id}")
    key = f"run:{scope.tenant_id}:{campaign_id}"
    arguments = (scope.tenant_id, campaign_id, data_date.isoformat())
    if wait:
        work.run(key, tasks.run_campaign, *arguments)
    else:
        work.enqueue(work.Queue.CAMPAIGNS, key, tasks.run_campaign, *arguments)
    return occurrence(scope, campaign_id)


def one_time(scope: Scope, body: OneTimeBody, *, wait: bool = False) -> Occurrence:
    """Run an action by hand on a list of customers: today at once, or on a later day with that day's cycle.

    Ids are matched ignoring case; unknown ones end as excluded. Raises NotFound, Invalid, Conflict.
    """
    data_date = _data_date(scope)
    day = body.execution_date or scope.today()
    if day < scope.today():
        raise Conflict("execution_date must not be in the past.")
    group = Group(
        action_id=body.action_id,
        share=1.0,
        channels=body.channels,
        channel_choice=body.channel_choice,
        promo_codes=body.promo_codes,
    )
    check_excluded(scope, body.rules.exclude_target_group_ids)
    check_groups(scope, [group])
    check_goal(scope, body.goal, groups=1)
    series = _list_series(scope, body, group, day)
    campaign_id = plan_run(scope, series, day)
    assert campaign_id is not None  # noqa: S101 - the series is new
    if day > scope.today():
        return occurrence(scope, campaign_id)
    return _start(scope, campaign_id, data_date, wait)


def _list_series(scope: Scope, body: OneTimeBody, group: Group, day: date) -> Series:
    """The series of a one-time campaign, with its list in the warehouse first."""
    with scope.records() as session:
        list_id = next_id(session, scope.tenant_id, "customer list")
        series_id = next_id(session, scope.tenant_id, "series")
    lists.keep_list(scope, list_id, body.customer_ids)
    rules = PlannedRules(**body.rules.model_dump(), min_share=0)
    with scope.records() as session:
        series = Series(
            tenant_id=scope.tenant_id,
            id=series_id,
            name=body.name,
            target_group_id=0,
            customer_list_id=list_id,
            campaign_type="Test/Control",
            split=Split.FIXED,
            control_share=body.control_share,
            goal=body.goal,
            priority=0,
            schedule=Schedule(kind="once", start_date=day),
            groups=(PlannedGroup.model_validate(group.model_dump(mode="json")),),
            rules=rules,
            duration=body.duration,
            lead_time=0,
            conditional=False,
            products=0,
            notes=body.notes,
            tags=body.tags,
            status=SeriesStatus.ACTIVE,
            version=1,
            created_at=scope.clock.now(),
        )
        session.add(series)
        scope.audit(session, "create", f"series {series_id}", name=body.name, customers=len(body.customer_ids))
    return series


def confirm(scope: Scope, campaign_id: int) -> Occurrence:
    """Let a run go on that the blast guard stopped. Raises NotFound, and Conflict when it does not wait for this."""
    with scope.records() as session:
        campaign = locked(scope, session, campaign_id)
        if campaign.state != RunState.AWAITING_CONFIRMATION:
            raise Conflict(f"Campaign {campaign_id} is {campaign.state} and does not wait for a confirmation.")
        scope.audit(session, "confirm", f"campaign {campaign_id}", reason=campaign.error)
        campaign.error, campaign.confirmed_at = "", scope.clock.now()
        campaign.state = RunState.AWAITING_CLEARANCE if campaign.conditional else RunState.SCHEDULED
        if campaign.conditional:
            session.flush()
            ask_clearance(scope, session, campaign_id)
    tasks.dispatch(scope)
    return occurrence(scope, campaign_id)


def cancel(scope: Scope, campaign_id: int) -> Occurrence:
    """Stop a run: what has not left is skipped, and listeners of event 4 are told if it had been processed.

    Raises NotFound, and Conflict for a run that has ended or is being processed. One whose approval is just
    being decided is canceled after that.
    """
    while not _canceled(scope, campaign_id):
        clear(scope, campaign_id)
    canceled = occurrence(scope, campaign_id)
    for row in channel_rows(scope, campaign_id):
        if row.waits_until is not None:  # no work is under way that would forget what waits
            unit = unit_of(scope, canceled, row.channel_id, row.recipient_group_id, Portion(row.portion))
            rounds.forget_waiting(scope, unit)
    finish_campaign(scope, campaign_id)
    return occurrence(scope, campaign_id)


def _canceled(scope: Scope, campaign_id: int) -> bool:
    """Cancel a run, unless a decision on its approval is under way."""
    with scope.records() as session:
        campaign = locked(scope, session, campaign_id)
        if campaign.is_triggered:
            raise Conflict(f"Campaign {campaign_id} is triggered and cannot be canceled: pause its trigger.")
        if campaign.state not in (RunState.PLANNED, *PROCESSED_OPEN):
            raise Conflict(f"Campaign {campaign_id} is {campaign.state} and cannot be canceled.")
        if campaign.state == RunState.AWAITING_CLEARANCE and campaign.cleared_at:
            return False
        if campaign.state != RunState.PLANNED:
            notifications.notify(scope, session, 4, {"CampaignID": campaign_id}, f"4:{campaign_id}")
        campaign.state = RunState.CANCELED
        campaign.canceled_at = campaign.finished_at = scope.clock.now()
        for row in session.scalars(
            select(OccurrenceChannel).where(
                OccurrenceChannel.tenant_id == scope.tenant_id, OccurrenceChannel.campaign_id == campaign_id
            )
        ):
            if row.state == RunState.SCHEDULED or row.waits_until is not None:
                row.state = RunState.CANCELED
        scope.audit(session, "cancel", f"campaign {campaign_id}")
    return True
