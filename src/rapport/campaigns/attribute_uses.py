"""Who uses a customer attribute: it is not taken away from them, nor given a type that they cannot be asked with."""

from collections.abc import Iterator
from dataclasses import replace

from rapport import conditions
from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.audiences import groups
from rapport.audiences import schema as audience_schema
from rapport.campaigns.definitions import all_series
from rapport.campaigns.delivery import webhooks
from rapport.campaigns.settings import CampaignSettings
from rapport.campaigns.states import SeriesStatus
from rapport.campaigns.triggered import uses as uses_above
from rapport.campaigns.triggered.definitions import triggered
from rapport.channels import service as channels
from rapport.conditions import FIELD_KINDS, Column
from rapport.customers import event_types, retyping
from rapport.customers.attributes import AttributeInfo
from rapport.customers.privacy import anonymisation
from rapport.errors import Conflict, Invalid
from rapport.messaging import templates
from rapport.messaging.editions import Editions

LISTED = 5
TEXTS = ("Nvarchar", "Varchar")


def delete_attribute(scope: Scope, name: str) -> None:
    """Delete an attribute that nothing uses. Raises NotFound, Invalid for a built-in one, Conflict for one in use."""
    info = retyping.changeable(scope, name)
    _refuse(f"{info.real_field_name} cannot be deleted", list(uses(scope, info.real_field_name)))
    retyping.delete(scope, name)


def retype_attribute(scope: Scope, name: str, field_type: str) -> None:
    """Change an attribute's type. Raises Conflict when values do not convert, or when somebody asks it as it is."""
    info = retyping.changeable(scope, name)
    misfits = [user for user, condition in asking(scope) if not _fits(scope, condition, info, field_type)]
    if field_type not in TEXTS:
        misfits += _channels(scope, info.real_field_name.upper())
    _refuse(f"{info.real_field_name} cannot become {field_type}", misfits)
    retyping.retype(scope, name, field_type)


def close_attribute(scope: Scope, name: str) -> None:
    """An attribute that nobody writes may be closed to updates by calls. Raises Conflict for one that is written."""
    _refuse(f"api_updatable of {name} must stay true", list(_writers(scope, name.upper())))


def _writers(scope: Scope, key: str) -> Iterator[str]:
    yield from (use.user for use in uses_above.uses(scope) if key in use.written)


def _refuse(refusal: str, users: list[str]) -> None:
    if users:
        more = f" and {len(users) - LISTED} more" if len(users) > LISTED else ""
        raise Conflict(f"{refusal}: it is used by {', '.join(users[:LISTED])}{more}.")


def uses(scope: Scope, name: str) -> Iterator[str]:
    """Each use of an attribute, in words for people."""
    key = name.upper()
    for user, condition in asking(scope):
        if key in conditions.attributes_in(condition):
            yield user
    yield from _writers(scope, key)
    yield from _channels(scope, key)
    yield from _send_times(scope, key)
    for template in templates.templates(scope):
        if key in Editions(scope, template).attributes:
            yield f"template {template.id} of channel {template.channel_id}"
    for channel in channels.channels(scope):
        hook = webhooks.webhook(scope, channel.id)
        if hook and key in {attribute.upper() for attribute in hook.attributes}:
            yield f"the webhook of channel {channel.id}"
    for event in event_types.event_types(scope):
        if event.declared and key in {anonymisation.attribute_named(parameter) for parameter in event.types}:
            yield f"event {event.name!r}"


def asking(scope: Scope) -> Iterator[tuple[str, conditions.Condition]]:
    """What asks customers' attributes: words for people and the condition."""
    for group in groups.target_groups(scope):
        yield f"target group {group.id} {group.name!r}", group.condition
    for series in triggered(scope):
        definition = series.customer_conditions
        if definition and series.status != SeriesStatus.ARCHIVED:
            yield f"campaign {series.id} {series.name!r}", conditions.parse(definition)
    for use in uses_above.uses(scope):
        yield from ((use.user, condition) for condition in use.conditions)


def _channels(scope: Scope, key: str) -> list[str]:
    return [
        f"channel {channel.id} {channel.name!r}"
        for channel in channels.channels(scope)
        if key in (channel.address_attribute.upper(), (channel.permission_attribute or "").upper())
    ]


def _send_times(scope: Scope, key: str) -> Iterator[str]:
    """The series that ask an attribute for customers' time zones."""
    if tenant_settings(scope, CampaignSettings).time_zone_attribute.strip().upper() == key:
        for series in all_series(scope):
            if series.status != SeriesStatus.ARCHIVED and any(group.has_own_times for group in series.groups):
                yield f"the send times of series {series.id} {series.name!r}"


def _fits(scope: Scope, condition: conditions.Condition, info: AttributeInfo, field_type: str) -> bool:
    """Whether a condition can still be asked when the attribute has another type."""
    name = info.real_field_name.upper()
    if name not in conditions.attributes_in(condition):
        return True
    schema = audience_schema.schema(scope)
    changed = Column(info.real_field_name, FIELD_KINDS[field_type], schema.attributes[name].percentile)
    try:
        conditions.to_sql(condition, replace(schema, attributes={**schema.attributes, name: changed}))
    except Invalid:
        return False
    return True
