"""What journeys use: conditions, events and attributes, of the versions in which customers are or may begin."""

from collections.abc import Iterator

from rapport import conditions
from rapport.access.scope import Scope
from rapport.campaigns.triggered.uses import Use, register_uses
from rapport.conditions import Condition
from rapport.journeys.compiling import customer_conditions, event_matches, own_zone_attribute
from rapport.journeys.dates import entry_condition
from rapport.journeys.schemas import AttributeStep, DateEntry, GroupEntry, JourneyBody, MessageStep
from rapport.journeys.states import JourneyStatus
from rapport.journeys.versions import versions_in_use


def journey_uses(scope: Scope) -> Iterator[Use]:
    """Each version in use."""
    with scope.stores.records.reading() as connection:
        versions = versions_in_use(connection, scope.tenant_id)
    for version in versions:
        steps = version.body.steps
        yield Use(
            user=f"journey {version.journey_id} {version.name!r}",
            is_active=version.status is not JourneyStatus.PAUSED,
            conditions=(
                *(conditions.parse(written) for _, written in customer_conditions(version.body)),
                *_asked(scope, version.body),
            ),
            matches=tuple(event_matches(version.body)),
            written=frozenset(
                name.strip().upper() for step in steps if isinstance(step, AttributeStep) for name in step.values
            ),
            campaigns=frozenset(step.campaign_id for step in steps if isinstance(step, MessageStep)),
            followed_groups=_followed_groups(version.body),
        )


def _followed_groups(body: JourneyBody) -> frozenset[int]:
    return frozenset([body.entry.target_group_id]) if isinstance(body.entry, GroupEntry) else frozenset()


def _asked(scope: Scope, body: JourneyBody) -> Iterator[Condition]:
    """What a journey asks of attributes outside its conditions, as conditions."""
    if isinstance(body.entry, DateEntry):
        yield entry_condition(body.entry)
    if zone_attribute := own_zone_attribute(scope, body):
        yield conditions.parse({"attribute": zone_attribute, "operator": "is_not_empty"})


register_uses(journey_uses)
