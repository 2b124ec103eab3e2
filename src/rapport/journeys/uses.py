"""What journeys use: conditions, events and attributes, of the versions in which customers are or may begin."""

from collections.abc import Iterator

from sqlalchemy import text

from rapport import conditions
from rapport.access.scope import Scope
from rapport.campaigns.triggered.uses import Use, register_uses
from rapport.journeys.compiling import customer_conditions, event_matches
from rapport.journeys.schemas import AttributeStep, JourneyBody, MessageStep
from rapport.journeys.states import JourneyStatus, MemberState

VERSIONS_IN_USE = text(f"""
    SELECT journey.id, journey.name, journey.status, version.body
    FROM journeys AS journey
    JOIN journey_versions AS version ON version.tenant_id = journey.tenant_id AND version.journey_id = journey.id
    WHERE journey.tenant_id = :tenant_id AND journey.status <> '{JourneyStatus.ARCHIVED}'
        AND (journey.version = version.version OR EXISTS (
            SELECT 1 FROM journey_members AS member
            WHERE member.tenant_id = journey.tenant_id AND member.journey_id = journey.id
                AND member.version = version.version AND member.state = '{MemberState.ACTIVE}'
        ))
    ORDER BY journey.id, version.version
""")  # noqa: S608 - ours


def journey_uses(scope: Scope) -> Iterator[Use]:
    """Each version in use."""
    with scope.reads() as session:
        rows = session.execute(VERSIONS_IN_USE, {"tenant_id": scope.tenant_id}).all()
    for row in rows:
        body = JourneyBody.model_validate(row.body)
        yield Use(
            user=f"journey {row.id} {row.name!r}",
            is_active=row.status != JourneyStatus.PAUSED,
            conditions=tuple(conditions.parse(written) for _, written in customer_conditions(body)),
            matches=tuple(event_matches(body)),
            written=frozenset(
                name.strip().upper() for step in body.steps if isinstance(step, AttributeStep) for name in step.values
            ),
            campaigns=frozenset(step.campaign_id for step in body.steps if isinstance(step, MessageStep)),
        )


register_uses(journey_uses)
