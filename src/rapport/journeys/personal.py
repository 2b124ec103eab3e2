"""What journeys hold of persons: an erasure takes their ways out, but for the numbers of the steps."""

from typing import Any

import orjson
from sqlalchemy import CursorResult, select, text

from rapport.access.personal_data import Anonymised, Erased, PersonalData
from rapport.access.scope import Scope
from rapport.journeys.models import JourneyMember

SHOWN = ("journey_id", "customer_id", "parameters", "state", "step", "entered_at", "ended_at", "ending", "reason")
FORGET_STEPS = text("""
    DELETE FROM journey_steps_taken AS taken USING journey_members AS member
    WHERE member.tenant_id = :tenant_id AND member.person = :person
        AND taken.tenant_id = member.tenant_id AND taken.member_id = member.id
""")
FORGET = text("DELETE FROM journey_members WHERE tenant_id = :tenant_id AND person = :person")
FORGET_PARAMETERS = text("""
    UPDATE journey_members SET parameters = '{}'
    WHERE tenant_id = :tenant_id AND person IN (SELECT json_array_elements_text(CAST(:persons AS json)))
        AND parameters <> '{}'
""")


def _export(scope: Scope, customer_id: str) -> dict[str, list[Any]]:
    query = select(JourneyMember).where(
        JourneyMember.tenant_id == scope.tenant_id, JourneyMember.person == customer_id.lower()
    )
    with scope.reads() as session:
        ways = session.scalars(query.order_by(JourneyMember.id)).all()
    return {"journeys": [{name: getattr(way, name) for name in SHOWN} for way in ways]}


def _anonymise(scope: Scope, anonymised: Anonymised) -> None:
    persons = orjson.dumps([customer_id.lower() for customer_id in anonymised.customer_ids]).decode()
    with scope.records() as session:
        session.execute(FORGET_PARAMETERS, {"tenant_id": scope.tenant_id, "persons": persons})


def _erase(scope: Scope, erased: Erased) -> int:
    parameters = {"tenant_id": scope.tenant_id, "person": erased.customer_id.lower()}
    with scope.records() as session:
        session.execute(FORGET_STEPS, parameters)
        ways = session.execute(FORGET, parameters)
    return ways.rowcount if isinstance(ways, CursorResult) else 0


PERSONAL_DATA = PersonalData(
    "journeys",
    records={"journey_members": ("customer_id", "person", "parameters")},
    export=_export,
    anonymise=_anonymise,
    erase=_erase,
)
