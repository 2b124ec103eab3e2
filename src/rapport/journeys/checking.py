"""A journey is checked like a program: what it names is there, every step is reached, each circle has a wait."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from rapport.access.scope import Scope
from rapport.audiences import groups as audience_groups
from rapport.campaigns.models import Series
from rapport.campaigns.plans import channels_in
from rapport.campaigns.states import SeriesStatus
from rapport.campaigns.triggered import definitions as triggers
from rapport.campaigns.triggered.schemas import JourneyTrigger
from rapport.channels import service as channels
from rapport.conditions import FIELD_KINDS
from rapport.conditions.schema import DATED
from rapport.customers import attributes
from rapport.customers.states import STORED_SOURCES, AttributeSource
from rapport.errors import Invalid, NotFound
from rapport.journeys.compiling import compiled_journey, own_zone_attribute, with_conditions
from rapport.journeys.schemas import (
    WAITS,
    AttributeStep,
    DateEntry,
    GroupEntry,
    JourneyBody,
    MessageStep,
    ShareStep,
    TestStep,
)
from rapport.journeys.states import JourneyStatus, TestMetric
from rapport.realtime.matching.catalogue import compiled


def check_journey(scope: Scope, body: JourneyBody) -> JourneyBody:
    """The body as it is kept: attributes have their own names, conditions the IDs of the stages and segments they name.

    Raises Invalid, naming the step and what is wrong with it, and NotFound for a target group that is not there.
    """
    _check_way(body)
    for step in body.steps:
        if isinstance(step, ShareStep | TestStep) and abs(sum(branch.share for branch in step.branches) - 1) > 1e-6:
            raise Invalid(f"steps.{step.id}.branches must have shares that add up to 1.")
        if isinstance(step, MessageStep):
            _check_campaign(scope, step)
    steps = [_checked_attributes(scope, step) if isinstance(step, AttributeStep) else step for step in body.steps]
    body = body.model_copy(update={"steps": steps})
    if isinstance(body.entry, GroupEntry):
        audience_groups.target_group(scope, body.entry.target_group_id)
    if isinstance(body.entry, DateEntry):
        body = body.model_copy(update={"entry": _checked_date(scope, body.entry)})
    compiled_journey(compiled(scope, []), 0, 0, JourneyStatus.ACTIVE, body, {})
    return with_conditions(body, partial(_as_kept, scope))


def _as_kept(scope: Scope, where: str, written: Any) -> Any:
    try:
        return audience_groups.definition_of(scope, written).raw
    except Invalid as error:
        raise Invalid(error.message.replace("definition", where, 1)) from error


def _check_way(body: JourneyBody) -> None:
    ids = [step.id for step in body.steps]
    for step in body.steps:
        if ids.count(step.id) > 1:
            raise Invalid(f"steps has more than one step with the ID {step.id!r}.")
        for target in step.targets:
            if target is not None and target not in ids:
                raise Invalid(f"steps.{step.id} leads to {target!r}, which is not a step of the journey.")
    following = {step.id: [target for target in step.targets if target is not None] for step in body.steps}
    reached, waiting = set[str](), [ids[0]]
    while waiting:
        step_id = waiting.pop()
        if step_id not in reached:
            reached.add(step_id)
            waiting += following[step_id]
    if unreached := [step_id for step_id in ids if step_id not in reached]:
        raise Invalid(f"steps.{unreached[0]} cannot be reached from the first step.")
    at_once = {step.id: following[step.id] for step in body.steps if not isinstance(step, WAITS)}
    for step_id in at_once:
        if _comes_back(at_once, step_id):
            raise Invalid(f"steps.{step_id} leads back to itself without a step that waits.")


def _comes_back(following: dict[str, list[str]], step_id: str) -> bool:
    """Whether a step can be reached from itself by steps that do not wait."""
    seen, waiting = set[str](), list(following[step_id])
    while waiting:
        reached = waiting.pop()
        if reached == step_id:
            return True
        if reached not in seen:
            seen.add(reached)
            waiting += following.get(reached, [])
    return False


def _check_campaign(scope: Scope, step: MessageStep) -> None:
    try:
        campaign = triggers.triggered_series(scope, step.campaign_id)
    except NotFound as error:
        raise Invalid(f"steps.{step.id}.campaign_id: {error.message}") from error
    if not isinstance(campaign.required_trigger.trigger, JourneyTrigger):
        raise Invalid(f"steps.{step.id}.campaign_id names a campaign whose trigger is not of the kind journey.")
    if campaign.status == SeriesStatus.ARCHIVED:
        raise Invalid(f"steps.{step.id}.campaign_id names an archived campaign.")


def _checked_date(scope: Scope, entry: DateEntry) -> DateEntry:
    info = attributes.attributes(scope).get(entry.attribute.strip().upper())
    if info is None:
        raise Invalid(f"entry.attribute names {entry.attribute!r}, which is not an attribute.")
    if FIELD_KINDS[info.field_type] not in DATED:
        raise Invalid(f"entry.attribute names {entry.attribute!r}, which is {info.field_type}, not a date.")
    return entry.model_copy(update={"attribute": info.real_field_name})


def _checked_attributes(scope: Scope, step: AttributeStep) -> AttributeStep:
    infos, values = attributes.attributes(scope), dict[str, str | None]()
    for name, value in step.values.items():
        info = infos.get(name.strip().upper())
        if info is None:
            raise Invalid(f"steps.{step.id}.values names {name!r}, which is not an attribute.")
        if info.real_field_name in values:
            raise Invalid(f"steps.{step.id}.values names {info.real_field_name!r} twice.")
        if info.source not in STORED_SOURCES or (info.source == AttributeSource.BATCH and not info.api_updatable):
            raise Invalid(f"steps.{step.id}.values names {name!r}, which calls cannot update.")
        values[info.real_field_name] = value
    return step.model_copy(update={"values": values})


def warnings(scope: Scope, body: JourneyBody) -> list[str]:
    """What may not be meant about a journey, in sentences."""
    sentences = list(_warnings({series.id: series for series in triggers.triggered(scope)}, body))
    sentences += _uncounted(scope, body)
    zone_attribute = own_zone_attribute(scope, body)
    if zone_attribute and zone_attribute not in attributes.attributes(scope):
        sentences.append(f"There is no attribute {zone_attribute}: waits in the customer's time zone use the tenant's.")
    return sentences


def _uncounted(scope: Scope, body: JourneyBody) -> Iterator[str]:
    """That a test goes by clicks in messages whose clicks nobody counts."""
    series = {campaign.id: campaign for campaign in triggers.triggered(scope)}
    sent = [series[step.campaign_id] for step in body.steps if isinstance(step, MessageStep)]
    channel_ids = {channel_id for campaign in sent for channel_id in channels_in(campaign.groups)}
    used = [channel for channel in channels.channels(scope) if channel.id in channel_ids]
    uncounted = [channel.id for channel in used if not channel.behaviour.learns_clicks(scope, channel.settings)]
    for step in body.steps:
        if isinstance(step, TestStep) and step.metric is TestMetric.CLICKS and uncounted:
            yield f"Step {step.id} goes by clicks, which Rapport does not count on channel {min(uncounted)}."


def _warnings(campaigns: dict[int, Series], body: JourneyBody) -> Iterator[str]:
    for step in body.steps:
        campaign = campaigns.get(step.campaign_id) if isinstance(step, MessageStep) else None
        if campaign is not None and campaign.status != SeriesStatus.ACTIVE:
            yield f"Step {step.id} sends nothing while campaign {campaign.id} is {campaign.status}."
    if not any(isinstance(step, MessageStep) for step in body.steps):
        yield "No step sends a message."
