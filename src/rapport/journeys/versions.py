"""The versions of journeys that are in use: in which somebody is, or may come in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.journeys.models import Journey, JourneyVersion
from rapport.journeys.schemas import JourneyBody
from rapport.journeys.states import JourneyStatus, MemberState

IN_USE = text(f"""
    SELECT journey.id, journey.name, journey.status, journey.version = version.version AS is_newest, version.version,
        version.body,
        (
            SELECT json_object_agg(test.step, test.winner) FROM journey_tests AS test
            WHERE test.tenant_id = journey.tenant_id AND test.journey_id = journey.id
                AND test.version = version.version
        ) AS winners
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


@dataclass(frozen=True)
class VersionInUse:
    """A version of a journey that is not archived, with the name and status of the journey.

    winners are the numbers of the branches that have won its tests, by step.
    """

    journey_id: int
    name: str
    status: JourneyStatus
    version: int
    is_newest: bool
    body: JourneyBody
    winners: Mapping[str, int]


def newest_bodies(scope: Scope, session: Session, journeys: Sequence[Journey]) -> dict[int, JourneyBody]:
    """The newest definition of each of some journeys, by number."""
    query = select(JourneyVersion).where(
        JourneyVersion.tenant_id == scope.tenant_id, JourneyVersion.journey_id.in_([journey.id for journey in journeys])
    )
    newest = {journey.id: journey.version for journey in journeys}
    return {
        version.journey_id: JourneyBody.model_validate(version.body)
        for version in session.scalars(query)
        if newest[version.journey_id] == version.version
    }


def versions_in_use(connection: Connection, tenant_id: int) -> list[VersionInUse]:
    """Those of a tenant, by number of the journey and version."""
    return [
        VersionInUse(
            journey_id=row.id,
            name=row.name,
            status=JourneyStatus(row.status),
            version=row.version,
            is_newest=row.is_newest,
            body=JourneyBody.model_validate(row.body),
            winners=row.winners or {},
        )
        for row in connection.execute(IN_USE, {"tenant_id": tenant_id})
    ]
