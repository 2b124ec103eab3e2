"""A person's messages that are under way are found however the id is spelled."""

import pytest

from rapport.access.scope import Scope
from rapport.delivery.models import OutboxMessage
from rapport.delivery.reading import under_way as held

SPELLED = ("Q-77", "ŻANETA Ö", "ΟΔΟΣ", "Nobody else")


@pytest.fixture(scope="module", autouse=True)
def under_way(scope: Scope) -> None:
    with scope.records() as session:
        for number, customer_id in enumerate(SPELLED):
            place = {"source": "run", "source_id": 1, "channel_id": 504, "recipient_group_id": 1, "batch": 1}
            message = {"message_id": f"m{number}", "state": "claimed", "template_id": 1, "action_id": 2}
            session.add(OutboxMessage(tenant_id=scope.tenant_id, customer_id=customer_id, **place, **message))


@pytest.mark.parametrize(
    ("asked", "found"),
    [("q-77", ["Q-77"]), ("Q-77", ["Q-77"]), ("żaneta ö", ["ŻANETA Ö"]), ("ΟΔΟΣ", ["ΟΔΟΣ"]), ("q-7", [])],
)
def test_messages_under_way_are_found_in_any_spelling(scope: Scope, asked: str, found: list[str]) -> None:
    assert [message.customer_id for message in held(scope, asked)] == found
