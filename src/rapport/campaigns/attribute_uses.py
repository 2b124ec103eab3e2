"""Who uses a customer attribute: it is not taken away from them, nor given a type that they cannot be asked with."""

from collections.abc import Iterator
from dataclasses import replace

from rapport import conditions
from rapport.access.scope import Scope
from rapport.audiences import service as audiences
from rapport.campaigns.delivery import webhooks
from rapport.campaigns.states import SeriesStatus
from rapport.campaigns.triggered import triggered
from rapport.channels import service as channels
from rapport.conditions import FIELD_KINDS, Column
from rapport.customers import service as customers
from rapport.errors import Conflict, Invalid
from rapport.messaging import service as messaging

TOLD = 5
TEXTS = ("Nvarchar", "Varchar")


def delete_attribute(scope: Scope, name: str) -> None:
    """Delete an attribute that nothing uses. Raises NotFound, Invalid for a built-in one, Conflict for one in use."""
    info = customers.changeable(scope, name)
    _refuse(f"{info.real_field_name} cannot be deleted", list(uses(scope, info.real_field_name)))
    customers.delete_attribute(scope, name)


def retype_attribute(scope: Scope, name: str, field_type: str) -> None:
    """Change an attribute's type. Raises Conflict when values do not convert, or when somebody asks it as it is."""
    info = customers.changeable(scope, name)
    misfits = [told for told, condition in asking(scope) if not _fits(scope, condition, info, field_type)]
    if field_type not in TEXTS:
        misfits += _channels(scope, info.real_field_name.upper())
    _refuse(f"{info.real_field_name} cannot become {field_type}", misfits)
    customers.retype_attribute(scope, name, field_type)


def _refuse(what: str, found: list[str]) -> None:
    if found:
        more = f" and {len(found) - TOLD} more" if len(found) > TOLD else ""
        raise Conflict(f"{what}: it is used by {', '.join(found[:TOLD])}{more}.")


def uses(scope: Scope, name: str) -> Iterator[str]:
    """Each use of an attribute, in words for people."""
    wanted = name.upper()
    for told, condition in asking(scope):
        if wanted in conditions.attributes_in(condition):
            yield told
    yield from _channels(scope, wanted)
    for template in messaging.templates(scope):
        if wanted in messaging.attributes_used(template):
            yield f"template {template.id} of channel {template.channel_id}"
    for channel in channels.channels(scope):
        hook = webhooks.webhook(scope, channel.id)
        if hook and wanted in {one.upper() for one in hook.attributes}:
            yield f"the webhook of channel {channel.id}"
    for event in customers.event_types(scope):
        if event.declared and wanted in {customers.attribute_named(one) for one in event.types}:
            yield f"event {event.name!r}"


def asking(scope: Scope) -> Iterator[tuple[str, conditions.Condition]]:
    """What asks customers' attributes: words for people and the condition."""
    for group in audiences.target_groups(scope):
        yield f"target group {group.id} {group.name!r}", group.condition
    for series in triggered(scope):
        definition = (series.trigger or {}).get("customer_conditions")
        if definition and series.status != SeriesStatus.ARCHIVED:
            yield f"campaign {series.id} {series.name!r}", conditions.parse(definition)


def _channels(scope: Scope, wanted: str) -> list[str]:
    return [
        f"channel {one.id} {one.name!r}"
        for one in channels.channels(scope)
        if wanted in (one.address_attribute.upper(), (one.permission_attribute or "").upper())
    ]


def _fits(scope: Scope, condition: conditions.Condition, info: customers.AttributeInfo, field_type: str) -> bool:
    """Whether a condition can still be asked when the attribute has another type."""
    name = info.real_field_name.upper()
    if name not in conditions.attributes_in(condition):
        return True
    known = audiences.schema(scope)
    changed = Column(info.real_field_name, FIELD_KINDS[field_type], known.attributes[name].percentile)
    try:
        conditions.to_sql(condition, replace(known, attributes={**known.attributes, name: changed}))
    except Invalid:
        return False
    return True
