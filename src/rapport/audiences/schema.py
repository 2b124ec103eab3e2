"""What a tenant's conditions are compared against, and how its things are called."""

from datetime import date, timedelta

from sqlalchemy import select, text

from rapport.access.scope import Scope
from rapport.audiences.models import TargetGroup
from rapport.audiences.queries import CAMPAIGNS_OF_SERIES
from rapport.channels import service as channels
from rapport.conditions import FIELD_KINDS, Column, Names, Schema
from rapport.customers import attributes
from rapport.customers.settings import value_rule
from rapport.insight import microsegments, stages, values
from rapport.messaging.contactability import unreached

PERCENTILE = "_PERCENTILE"
NOT_MODELLED = (
    "No day has been modelled yet: who belongs to a group, and what is calculated of customers, "
    "are known after the first daily cycle."
)
# Attributes that are the name of something, and the attribute of its id.
NAMED = {
    "LIFECYCLE_STAGE": "LIFECYCLE_STAGE_ID",
    "PREVIOUS_LIFECYCLE_STAGE": "PREVIOUS_LIFECYCLE_STAGE_ID",
    "MICROSEGMENT": "MICROSEGMENT_ID",
    "VALUE_SEGMENT": "VALUE_SEGMENT_ID",
}


def called(scope: Scope, by_id: str) -> dict[int, str]:
    """The names of what an attribute of NAMED gives the id of."""
    if by_id == "MICROSEGMENT_ID":
        return microsegments.microsegment_names(scope)
    if by_id == "VALUE_SEGMENT_ID":
        return {segment.id: segment.name for segment in values.value_segments(scope)}
    return stages.stage_rules(scope).names()


def schema(scope: Scope, data_date: date | None = None) -> Schema:
    """The schema of a data date: the newest when None, yesterday before the first."""
    newest = scope.data_date()
    data_date = data_date or newest or _yesterday(scope)
    return Schema(
        attributes={
            name: Column(
                info.real_field_name,
                FIELD_KINDS[info.field_type],
                PERCENTILE in name,
                info.consent.word if info.consent else None,
            )
            for name, info in attributes.attributes(scope).items()
        },
        data_date=data_date,
        time_zone=scope.time_zone,
        missing="" if newest else NOT_MODELLED,
        campaigns_of=lambda series_id: _campaigns_of(scope, series_id),
        unreached=lambda channel_id: unreached.unreached(scope, channel_id, data_date),
        values=value_rule(scope),
    )


def current_date(scope: Scope) -> date:
    """The data date that "now" means: the newest, or yesterday before the first."""
    return scope.data_date() or _yesterday(scope)


def _yesterday(scope: Scope) -> date:
    return scope.today() - timedelta(days=1)


def _campaigns_of(scope: Scope, series_id: int) -> list[int]:
    parameters = {"tenant_id": scope.tenant_id, "series_id": series_id}
    with scope.records() as session:
        return list(session.scalars(text(CAMPAIGNS_OF_SERIES), parameters))


def names(scope: Scope) -> Names:
    """Aliases of attributes, names of target groups and channels, for sentences."""
    chosen = select(TargetGroup.id, TargetGroup.name).where(TargetGroup.tenant_id == scope.tenant_id)
    with scope.reads() as session:
        groups = {row.id: row.name for row in session.execute(chosen)}
    aliases = {name: info.alias for name, info in attributes.attributes(scope).items()}
    for name, by_id in NAMED.items():
        if name in aliases and by_id in aliases:
            aliases[by_id] = aliases[name]
    return Names(
        attributes=aliases,
        groups=groups,
        values={by_id: called(scope, by_id) for by_id in NAMED.values()},
        channels={channel.id: f"'{channel.name}'" for channel in channels.channels(scope)},
    )
