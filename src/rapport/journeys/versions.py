"""The versions of journeys that are in use: in which somebody is, or may come in."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from rapport.journeys.schemas import JourneyBody
from rapport.journeys.states import JourneyStatus, MemberState

IN_USE = text(f"""
    SELECT journey.id, journey.name, journey.status, journey.version = version.version AS is_newest, version.version,
        version.body
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
    """A version of a journey that is not archived, with the name and status of the journey."""

    journey_id: int
    name: str
    status: JourneyStatus
    version: int
    is_newest: bool
    body: JourneyBody


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
        )
        for row in connection.execute(IN_USE, {"tenant_id": tenant_id})
    ]
