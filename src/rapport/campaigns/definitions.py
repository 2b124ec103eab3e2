"""Actions and series: what a marketer defines. Every change leaves an audit row; series are versioned."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import islice
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.audiences import groups as audience_groups
from rapport.campaigns import goals, own_runs
from rapport.campaigns.delivery import quiet_hours
from rapport.campaigns.models import (
    CONTROL_ACTION_ID,
    CONTROL_ACTION_NAME,
    UNIQUE_ACTION,
    UNIQUE_SERIES,
    Action,
    Series,
)
from rapport.campaigns.plans import PlannedGroup, PlannedRules, PlannedTest
from rapport.campaigns.schedule import check_schedule, upcoming
from rapport.campaigns.schemas import ABTest, ActionBody, Goal, Group, GroupChannel, Schedule, SeriesBody
from rapport.campaigns.settings import CampaignSettings
from rapport.campaigns.states import ABMetric, SeriesStatus
from rapport.campaigns.triggered.schemas import ImmediateGroup
from rapport.channels import service as channels
from rapport.channels.transactional import transactional_channels
from rapport.customers import attributes
from rapport.errors import Conflict, Invalid, NotFound
from rapport.messaging import templates
from rapport.messaging.contactability.purposes import ANYTHING, purposes_of_templates
from rapport.messaging.editions import Editions
from rapport.messaging.models import Template
from rapport.stores.records import next_id, taken, unique_name

OF_THE_SPLIT = ("min_share", "keeps_groups")
AN_ACTION, A_SERIES = "an action", "a series"


def actions(scope: Scope, *, archived: bool = True) -> list[Action]:
    """The tenant's actions, by id; the control action is not among them."""
    query = select(Action).where(Action.tenant_id == scope.tenant_id)
    if not archived:
        query = query.where(Action.archived.is_(False))
    with scope.reads() as session:
        return list(session.scalars(query.order_by(Action.id)))


def action(scope: Scope, action_id: int) -> Action:
    """An action by id. Raises NotFound."""
    with scope.reads() as session:
        return _action(scope, session, action_id)


def codes_of(scope: Scope, group: PlannedGroup) -> tuple[str, ...]:
    """The promo codes of a recipient group: its own, else those of its action. Raises NotFound."""
    return tuple(action(scope, group.action_id).promo_codes if group.promo_codes is None else group.promo_codes)


def _action(scope: Scope, session: Session, action_id: int) -> Action:
    action = session.get(Action, (scope.tenant_id, action_id))
    if action is None:
        raise NotFound(f"There is no action {action_id}.")
    return action


def create_action(scope: Scope, body: ActionBody) -> Action:
    """Define an action; ids start at 2, since 1 is the control action. Raises Conflict for a name in use."""
    with _action_name(body.name), scope.records() as session:
        action = Action(
            tenant_id=scope.tenant_id,
            id=next_id(session, scope.tenant_id, "action", CONTROL_ACTION_ID + 1),
            archived=False,
            created_at=scope.clock.now(),
            **body.model_dump(),
        )
        session.add(action)
        scope.audit(session, "create", f"action {action.id}", name=action.name)
    return action


def update_action(scope: Scope, action_id: int, body: ActionBody) -> Action:
    """Replace name, description and codes; campaigns already processed keep what they had.

    Raises NotFound, and Conflict for a name in use.
    """
    with _action_name(body.name), scope.records() as session:
        action = _action(scope, session, action_id)
        for name, value in body.model_dump().items():
            setattr(action, name, value)
        scope.audit(session, "update", f"action {action_id}", name=action.name)
    return action


@contextmanager
def _action_name(name: str) -> Iterator[None]:
    if name.strip().lower() == CONTROL_ACTION_NAME.lower():
        raise taken(AN_ACTION, name)
    with unique_name(UNIQUE_ACTION, AN_ACTION, name):
        yield


def archive_action(scope: Scope, action_id: int) -> None:
    """Take an action out of use. Raises NotFound, and Conflict while an active or paused series uses it."""
    with scope.records() as session:
        action = _action(scope, session, action_id)
        query = select(Series).where(Series.tenant_id == scope.tenant_id, Series.status != SeriesStatus.ARCHIVED)
        for series in session.scalars(query):
            if any(group.action_id == action_id for group in series.groups):
                raise Conflict(f"Series {series.id} uses action {action_id}: archive the series first.")
        action.archived = True
        scope.audit(session, "archive", f"action {action_id}")


def all_series(scope: Scope, status: str | None = None) -> list[Series]:
    """The tenant's series, by id, without the triggered ones."""
    query = select(Series).where(Series.tenant_id == scope.tenant_id, Series.trigger.is_(None))
    if status:
        query = query.where(Series.status == status)
    with scope.reads() as session:
        return list(session.scalars(query.order_by(Series.id)))


def series(scope: Scope, series_id: int) -> Series:
    """A series by id. Raises NotFound."""
    with scope.reads() as session:
        return _series(scope, session, series_id)


def _series(scope: Scope, session: Session, series_id: int) -> Series:
    series = session.get(Series, (scope.tenant_id, series_id))
    if series is None or series.trigger is not None:
        raise NotFound(f"There is no series {series_id}.")
    return series


def columns(body: SeriesBody) -> dict[str, Any]:
    """A body as the columns of Series; how it splits beyond that lives among the rules."""
    data = body.model_dump(mode="json")
    of_the_split = {name: data.pop(name) for name in OF_THE_SPLIT}
    return {
        **data,
        "goal": body.goal,
        "schedule": Schedule.model_validate(data["schedule"]),
        "groups": tuple(map(PlannedGroup.model_validate, data["groups"])),
        "rules": PlannedRules(**data["rules"], **of_the_split),
    }


def body_of(series: Series) -> dict[str, Any]:
    """A series as the members of SeriesBody, the reverse of columns."""
    data = {name: getattr(series, name) for name in SeriesBody.model_fields if name not in OF_THE_SPLIT}
    split = {name: getattr(series.rules, name) for name in OF_THE_SPLIT}
    rules = series.rules.model_dump(mode="json", exclude=set(OF_THE_SPLIT))
    groups = [group.model_dump(mode="json") for group in series.groups]
    return {**data, **split, "rules": rules, "groups": groups}


def series_warnings(scope: Scope, series: Series) -> list[str]:
    """What may not be meant about the runs of a series, in sentences."""
    of_runs = own_runs.warnings(series.days, series.rules, series.duration)
    of_times = quiet_hours.warnings(scope, series.days, series.rules, series.groups)
    of_times += own_time_warnings(scope, series.groups)
    return [*of_runs, *of_times, *goals.warnings(scope, series), *_untracked(scope, series)]


def _untracked(scope: Scope, series: Series) -> list[str]:
    """That an A/B test goes by opens or clicks that Rapport does not count."""
    tested_ids = {
        channel.channel_id
        for group in series.groups
        for channel in group.channels
        if channel.ab_test and _goes_by_reactions(channel.ab_test, series.goal)
    }
    tested = [channels.channel(scope, channel_id) for channel_id in sorted(tested_ids)]
    return [
        f"ab_test: Rapport does not count opens and clicks on channel {channel.id}, so the fallback wins."
        for channel in tested
        if not channel.behaviour.learns_clicks(scope, channel.settings)
    ]


def _goes_by_reactions(planned_test: PlannedTest, goal: Goal) -> bool:
    """Whether a test is decided by what recipients do with the message."""
    if planned_test.metric is ABMetric.RESPONDERS:
        return goals.is_click(goal)
    return planned_test.metric in (ABMetric.OPENS, ABMetric.CLICKS)


def own_time_warnings(scope: Scope, groups: Sequence[PlannedGroup]) -> list[str]:
    """That the attribute is missing which is to say in which time zones the customers of groups are; none if it is not
    asked for.
    """
    name = tenant_settings(scope, CampaignSettings).time_zone_attribute
    if name.strip().upper() in attributes.attributes(scope) or not any(group.has_own_times for group in groups):
        return []
    return [
        f"There is no attribute {name}, which should contain the customers' time zones, so Rapport uses the tenant's "
        "for all customers. To use another attribute, change the setting campaigns.time_zone_attribute."
    ]


def create_series(scope: Scope, body: SeriesBody, status: str = SeriesStatus.ACTIVE) -> Series:
    """Define a series, active or paused.

    Raises NotFound or Invalid for an action, channel, template or target group it cannot use, Conflict for a name in
    use.
    """
    check_references(scope, body)
    with unique_name(UNIQUE_SERIES, A_SERIES, body.name), scope.records() as session:
        series = Series(
            tenant_id=scope.tenant_id,
            id=next_id(session, scope.tenant_id, "series"),
            status=status,
            version=1,
            created_at=scope.clock.now(),
            **columns(body),
        )
        session.add(series)
        scope.audit(session, "create", f"series {series.id}", name=series.name)
    return series


def update_series(scope: Scope, series_id: int, body: SeriesBody, version: int) -> Series:
    """Replace a series if it still stands at this version; campaigns already processed keep their plan.

    Raises NotFound, Invalid, and Conflict for a name in use, or when somebody else changed it meanwhile or it is
    archived.
    """
    check_references(scope, body)
    with unique_name(UNIQUE_SERIES, A_SERIES, body.name), scope.records() as session:
        series = _series(scope, session, series_id)
        replace_series(scope, session, series, f"series {series_id}", version, columns(body))
    return series


def set_status(scope: Scope, series_id: int, status: str) -> Series:
    """Activate, pause or archive a series; runs already planned for today are not touched.

    Raises NotFound, Invalid for another status, Conflict for an archived series.
    """
    with scope.records() as session:
        series = _series(scope, session, series_id)
        change_status(scope, session, series, f"series {series_id}", status)
    return series


def replace_series(
    scope: Scope, session: Session, series: Series, label: str, version: int, values: dict[str, Any]
) -> None:
    """Write a series anew if it still stands at this version, in the caller's transaction; label names it in messages.

    Raises Conflict when it does not, or is archived.
    """
    if series.status == SeriesStatus.ARCHIVED:
        raise Conflict(f"{label.capitalize()} is archived and cannot be changed.")
    change = session.execute(
        update(Series)
        .where(Series.tenant_id == scope.tenant_id, Series.id == series.id, Series.version == version)
        .values(**values, version=version + 1)
    )
    if change.rowcount == 0:  # type: ignore[attr-defined]
        raise Conflict(f"version {version} of {label} is not the newest: read it and try again.")
    scope.audit(session, "update", label, version=version + 1)
    session.refresh(series)


def change_status(scope: Scope, session: Session, series: Series, label: str, status: str) -> None:
    """Give a series another status, in the caller's transaction. Raises Invalid for none, Conflict when archived."""
    if status not in tuple(SeriesStatus):
        raise Invalid(f"status must be one of {', '.join(SeriesStatus)}.")
    if series.status == SeriesStatus.ARCHIVED and status != SeriesStatus.ARCHIVED:
        raise Conflict(f"{label.capitalize()} is archived and cannot be changed.")
    series.status = SeriesStatus(status)
    series.version += 1
    scope.audit(session, "status", label, status=status)


def next_runs(scope: Scope, series_id: int, count: int, first: date | None = None) -> list[date]:
    """The next execution days of a series from today (or a day) on. Raises NotFound."""
    return list(islice(upcoming(series(scope, series_id).days, first or scope.today()), count))


def check_references(scope: Scope, body: SeriesBody) -> None:
    """Everything a series names must exist, and its schedule go by all that it says. Raises NotFound, Invalid."""
    check_schedule(body.schedule)
    if audience_groups.target_group(scope, body.target_group_id).archived:
        raise Invalid(f"target_group_id names target group {body.target_group_id}, which is archived.")
    check_excluded(scope, body.rules.exclude_target_group_ids)
    check_groups(scope, body.groups)
    goals.check_goal(scope, body.goal, len(body.groups))


def check_excluded(scope: Scope, target_group_ids: Sequence[int]) -> None:
    """The groups whose members are kept out must exist and be in use. Raises NotFound, Invalid."""
    for group_id in target_group_ids:
        if audience_groups.target_group(scope, group_id).archived:
            raise Invalid(f"rules.exclude_target_group_ids names target group {group_id}, which is archived.")


def check_groups(scope: Scope, groups: Sequence[Group | ImmediateGroup]) -> None:
    """Actions, channels and templates of recipient groups must exist. Raises NotFound, Invalid.

    A template of an outside channel may be any number, until its vendor has registered templates: then it
    is one of them.
    """
    registered = {template.channel_id for template in templates.listed_templates(scope)}
    transactional = {channel.id for channel in transactional_channels(scope)}
    for group in groups:
        if action(scope, group.action_id).archived:
            raise Invalid(f"groups names action {group.action_id}, which is archived.")
        for channel in group.channels:
            if channel.channel_id in transactional:
                raise Invalid(f"groups names channel {channel.channel_id}, which is for transactional mail only.")
            is_pulled = channels.channel(scope, channel.channel_id).behaviour.is_pulled
            if not is_pulled or channel.channel_id in registered:
                check_template(scope, channel.channel_id, channel.template_id)
            if isinstance(channel, GroupChannel) and channel.ab_test:
                _check_test(scope, channel.channel_id, channel.ab_test, is_pulled=is_pulled)


def check_template(scope: Scope, channel_id: int, template_id: int) -> Template:
    """A template of which a campaign knows all that it puts in. Raises NotFound, Invalid."""
    template = templates.template(scope, channel_id, template_id)
    if brought := Editions(scope, template).transactional:
        raise Invalid(
            f"Template {template_id} of channel {channel_id} has [%TRANS:{brought[0]}%], which only transactional "
            "messages bring."
        )
    return template


def _check_test(scope: Scope, channel_id: int, ab_test: ABTest, *, is_pulled: bool) -> None:
    """An A/B test needs a channel on which Rapport sends, and variants that reach the same customers."""
    if is_pulled:
        raise Invalid(f"ab_test needs a channel on which Rapport itself sends: channel {channel_id} is external.")
    variants = [check_template(scope, channel_id, variant.template_id).id for variant in ab_test.variants]
    purposes = purposes_of_templates(scope, [channel_id])
    if len({purposes.get((channel_id, variant), ANYTHING) for variant in variants}) > 1:
        raise Invalid(f"ab_test names templates of channel {channel_id} that have different topics or apps.")
