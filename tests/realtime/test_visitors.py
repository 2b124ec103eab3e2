"""Visitors who turn out to be customers: whom their events are of, before and after; merged and erased ones."""

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from senders import Sender, app_event, handle, idle, stored
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.customers.person_ids import person_of
from rapport.customers.privacy import persons
from rapport.realtime.events import joining
from rapport.realtime.events.intake import Incoming, Intake
from rapport.realtime.events.joining import join
from rapport.realtime.events.names import Names
from rapport.realtime.events.visitors import customer_of
from rapport.realtime.recording.warehouse_batches import file_batch
from rapport.stores.backups import backup

AT = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


@pytest.fixture(scope="module")
def intake(scope: Scope) -> Intake:
    return Intake(scope.stores)


def seen(visitor: str, customer: str = "", event: str = "page", minutes: float = 0, **parameters: Any) -> Incoming:
    return Incoming(event, "sdk", AT + timedelta(minutes=minutes), customer, visitor, parameters)


def identified(visitor: str, customer: str, minutes: float = 0, updated: str = "") -> Incoming:
    names = {"originalVisitorId": visitor, "userId": customer, "updatedVisitorId": updated or f"of-{customer}"}
    return seen(visitor, "", "set_user_id_event", minutes, **names)


def stitched(source: str, target: str, customer: str = "") -> Incoming:
    names = {"sourceVisitorId": source, "targetVsitorId": target, "sourcePublicCustomerId": customer}
    return seen(source, "", "stitch_event", **names)


def take_in(scope: Scope, intake: Intake, *events: Incoming) -> None:
    intake.accept_now(scope, events)


def file_all(scope: Scope) -> None:
    handle(scope)
    names, deadline = Names(), time.monotonic() + 60
    while (stored(scope) or unjoined(scope)) and time.monotonic() < deadline:
        file_batch(scope, names)
        join(scope, names)


def unjoined(scope: Scope) -> int:
    sql = "SELECT count(*) FROM visitors WHERE tenant_id = :t AND NOT joined AND customer_id <> ''"
    with scope.records() as session:
        return int(session.execute(text(sql), {"t": scope.tenant_id}).scalar_one())


def behind(scope: Scope, *visitors: str) -> dict[str, str]:
    with scope.records() as session:
        return customer_of(scope, session, visitors)


def histories(scope: Scope, *visitors: str) -> tuple[dict[str, list[str]], int]:
    """Customer by customer the visitors whose events are theirs, in order; and how many are nobody's."""
    sql = "SELECT customer_id, groupArray(visitor_id) FROM (SELECT * FROM activity_events ORDER BY seq) "
    found = scope.warehouse.rows(sql + "WHERE visitor_id IN {ids:Array(String)} GROUP BY 1", ids=list(visitors))
    sql = "SELECT count() FROM visitor_events WHERE visitor_id IN {ids:Array(String)}"
    return {customer: list(of) for customer, of in found}, scope.warehouse.value(sql, ids=list(visitors))


def test_a_person_is_named_by_customer_or_visitor() -> None:
    assert person_of("Anna", "v1") == "anna"
    assert person_of("", "V1") == "v:V1"


def test_the_history_of_a_visitor_joins_the_customer_s_once(
    scope: Scope, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope.warehouse.insert("customers", ["customer_id"], [("Joined-A",)])
    take_in(scope, intake, *(seen("ja", page=str(n)) for n in range(3)), seen("jb"))
    file_all(scope)
    assert histories(scope, "ja", "jb") == ({}, 4)
    take_in(scope, intake, identified("ja", "JOINED-a"), seen("ja", page="4"), seen("of-JOINED-a"))
    assert behind(scope, "ja", "jb", "of-JOINED-a") == {"ja": "JOINED-a", "of-JOINED-a": "JOINED-a"}
    # Killed when the history is copied and still among the visitors', and when it has moved and is not marked.
    for killed in ("DELETE", "MARK"):
        monkeypatch.setattr(joining, killed, "SELECT 1 FROM nowhere" if killed == "DELETE" else text("SELECT nothing"))
        with pytest.raises(Exception, match=r"nowhere|nothing"):
            join(scope, Names())
        monkeypatch.undo()
        assert unjoined(scope) == 2
    file_all(scope)
    assert histories(scope, "ja", "jb") == ({"Joined-A": ["ja"] * 5}, 1)
    sql = "SELECT properties['page'] FROM activity_events WHERE visitor_id = 'ja' ORDER BY seq"
    assert [page for (page,) in scope.warehouse.rows(sql)] == ["0", "1", "2", "", "4"]
    assert unjoined(scope) == 0


def test_an_event_that_names_both_identifies(scope: Scope, intake: Intake) -> None:
    take_in(scope, intake, seen("both-1"), seen("both-1", "Both"), seen("both-1"))
    file_all(scope)
    assert histories(scope, "both-1") == ({"Both": ["both-1"] * 3}, 0)


def test_whoever_was_identified_last_by_the_senders_time_counts(scope: Scope, intake: Intake) -> None:
    take_in(scope, intake, identified("shared", "First", 10, "shared-x"), seen("shared"))
    file_all(scope)
    take_in(scope, intake, identified("shared", "Second", 20, "shared-y"))
    take_in(scope, intake, identified("shared", "Late", 5, "shared-z"), seen("shared", "Later", minutes=6))
    take_in(scope, intake, seen("shared", minutes=25), seen("shared", minutes=12))
    file_all(scope)
    assert behind(scope, "shared") == {"shared": "Second"}
    found, _ = histories(scope, "shared")
    # The event that identified is the visitor's too; each is of whom the visitor was at its time.
    assert {name: len(of) for name, of in found.items()} == {"First": 3, "Second": 2, "Late": 1, "Later": 1}


def test_a_customer_who_still_is_the_same_later_is_not_replaced_by_what_comes_late(
    scope: Scope, intake: Intake
) -> None:
    take_in(scope, intake, seen("again", "Same", minutes=-30))
    take_in(scope, intake, seen("again", "Same", minutes=-5))
    take_in(scope, intake, seen("again", "Other", minutes=-20))
    assert behind(scope, "again") == {"again": "Same"}
    file_all(scope)
    assert unjoined(scope) == 0
    take_in(scope, intake, seen("again", "same", minutes=30))
    assert unjoined(scope) == 0, "the same customer's history is not moved again"
    take_in(scope, intake, seen("again", "Other", minutes=40))
    assert behind(scope, "again") == {"again": "Other"}


def test_visitors_merged_before_anybody_knows_them_come_along(scope: Scope, intake: Intake) -> None:
    take_in(scope, intake, *(seen(f"m{n}") for n in range(4)), stitched("m0", "m1"), stitched("m1", "m2"))
    file_all(scope)
    assert behind(scope, "m0", "m1", "m2") == {}
    take_in(scope, intake, identified("m2", "Merged", updated="m9"))
    assert behind(scope, "m0", "m1", "m2", "m3") == dict.fromkeys(("m0", "m1", "m2"), "Merged")
    take_in(scope, intake, stitched("m0", "m3"))  # one more, when the person is known
    file_all(scope)
    assert behind(scope, "m3") == {"m3": "Merged"}
    found, left = histories(scope, "m0", "m1", "m2", "m3")
    assert left == 0 and set(found) == {"Merged"} and {"m0", "m1", "m2", "m3"} == set(found["Merged"])


def test_a_stitch_may_name_the_customer(scope: Scope, intake: Intake) -> None:
    take_in(scope, intake, seen("st-1"), seen("st-2"), stitched("st-1", "st-2", "Stitched"))
    file_all(scope)
    assert behind(scope, "st-1", "st-2") == dict.fromkeys(("st-1", "st-2"), "Stitched")
    assert histories(scope, "st-2") == ({"Stitched": ["st-2"]}, 0)


def test_nonsense_identifies_nobody(scope: Scope, intake: Intake) -> None:
    for parameters in ({}, {"userId": 7}, {"userId": "x" * 300}, {"userId": "  ", "originalVisitorId": ["n"]}):
        take_in(scope, intake, seen("non", event="set_user_id_event", **parameters))
    take_in(scope, intake, seen("non", event="stitch_event"), stitched("non", "non"))
    assert behind(scope, "non") == {}


def test_no_order_of_events_and_rounds_loses_or_doubles_one(scope: Scope, intake: Intake) -> None:
    """Random visitors, identified at random moments between rounds of filing and joining: every event once."""
    luck, names = random.Random(7), Names()
    visitors = [f"rnd-{n}" for n in range(12)]
    owners = {visitor: f"Owner-{n % 5}" for n, visitor in enumerate(visitors)}
    sent, known = 0, set[str]()
    for _ in range(30):
        batch = [seen(luck.choice(visitors)) for _ in range(luck.randint(1, 6))]
        sent += len(batch)
        if luck.random() < 0.3 and (rest := sorted(set(visitors) - known)):
            one = luck.choice(rest)
            known.add(one)
            batch.append(seen(one, owners[one]))
            sent += 1
        take_in(scope, intake, *batch)
        if luck.random() < 0.5:
            handle(scope)
            file_batch(scope, names)
        if luck.random() < 0.5:
            join(scope, names)
    file_all(scope)
    found, left = histories(scope, *visitors)
    assert sum(len(of) for of in found.values()) + left == sent
    assert {visitor: customer for customer, of in found.items() for visitor in of} == {v: owners[v] for v in known}
    _, remaining = histories(scope, *known)
    assert remaining == 0


def test_removing_identifying_data_reaches_log_and_triggers(scope: Scope, api: httpx.Client) -> None:
    scope.warehouse.insert("customers", ["customer_id"], [("Masked",)])
    told = '{"email": "m@example.org", "ootb_first_name": "M", "plan": "gold"}'
    bound = {"t": scope.tenant_id, "told": told}
    with scope.records() as session:
        session.execute(
            text("""
            INSERT INTO event_log (tenant_id, at, status, origin, event, person, reason, body)
            VALUES (:t, now(), 'error', 'sdk', 'e', 'masked', 'r', :told)
            """),
            bound,
        )
        session.execute(
            text("""
            INSERT INTO trigger_firings (tenant_id, series_id, campaign_id, event_key, person, customer_id,
                is_visitor, parameters, recipient_group_id, state, outcome, reason, fired_at)
            VALUES (:t, 9, 1, 'masked', 'masked', 'Masked', false, CAST(:told AS jsonb), 1, 'filed', 'sent', '', now())
            """),
            bound,
        )
        session.execute(
            text("""
            INSERT INTO trigger_states (tenant_id, series_id, person, trigger_version, times, updated_at, opened)
            VALUES (:t, 9, 'masked', 1, '{}', now(), jsonb_build_object('key', 'k', 'parameters', CAST(:told AS jsonb)))
            """),
            bound,
        )
    answer = api.post("/current/customers/RemoveCustomerPII", json={"CustomerIDs": ["MASKED"]})
    assert answer.json() == {"FailedCustomerIDs": []}
    held = api.get("/manage/v1/persons/masked").json()["real_time"]
    assert held["event_log"] == []
    assert held["trigger_firings"][0]["parameters"] == {"plan": "gold"}
    assert held["trigger_states"][0]["opened"] == {"key": "k", "parameters": {"plan": "gold"}}
    idle(scope)


def test_a_backup_amid_a_join_loses_nothing(scope: Scope, intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    take_in(scope, intake, *(seen("copied", page=str(n)) for n in range(5)))
    file_all(scope)
    take_in(scope, intake, seen("copied", "Copied"))
    copy = backup._copy

    def and_join(source: Any, target: Any, table: str) -> None:
        copy(source, target, table)
        if source.name == scope.warehouse.name and table in ("activity_events", "visitor_events"):
            while unjoined(scope):
                join(scope, Names())

    monkeypatch.setattr(backup, "_copy", and_join)
    monkeypatch.setattr(backup, "tenant_databases", lambda warehouse: [scope.warehouse])  # those of others take minutes
    sql = "SELECT seq FROM {} WHERE visitor_id = 'copied'"
    with backup._copies(scope.stores.warehouse) as copies:
        mine = dict(copies)[scope.warehouse.name]
        kept = {seq for table in ("activity_events", "visitor_events") for (seq,) in mine.rows(sql.format(table))}
    assert len(kept) == 5
    file_all(scope)


def test_identification_over_the_wire(scope: Scope, base_url: str) -> None:
    sender = Sender(base_url, scope)
    context = {"originalVisitorId": "wire", "userId": "Wired", "updatedVisitorId": "wire-2"}
    batch = [app_event(scope, visitor="wire"), app_event(scope, visitor="wire", event="set_user_id_event")]
    batch[1]["context"] = context
    assert sender.app(batch).status_code == 200
    assert behind(scope, "wire", "wire-2") == {"wire": "Wired", "wire-2": "Wired"}
    sender.client.close()


@pytest.fixture(scope="module")
def person(scope: Scope, intake: Intake) -> Iterator[str]:
    """A person of whom something is everywhere in real time."""
    take_in(scope, intake, seen("gone-v", secret="zq"), seen("stays-v"))
    file_all(scope)
    take_in(scope, intake, identified("gone-v", "Gone"), seen("gone-v"), seen("", "GONE"))
    with scope.records() as session:
        bound = {"t": scope.tenant_id}
        for person in ("gone", "v:gone-v", "other"):
            session.execute(
                text("""
                INSERT INTO trigger_firings (tenant_id, series_id, campaign_id, event_key, person, customer_id,
                    is_visitor, parameters, recipient_group_id, state, outcome, reason, fired_at)
                VALUES (:t, 1, 1, :p, :p, :p, false, '{}', 1, 'filed', 'sent', '', now())
                """),
                bound | {"p": person},
            )
            session.execute(
                text("""
                INSERT INTO messages (tenant_id, source, source_id, channel_id, customer_id, recipient_group_id,
                    template_id, action_id, promo_code, message_id, state, reason, attempts, claims)
                SELECT :t, 'firing', id, 504, customer_id, 1, 1, 2, '', 'm', 'sent', '', 1, 1 FROM trigger_firings
                WHERE tenant_id = :t AND person = :p
                """),
                bound | {"p": person},
            )
            session.execute(
                text("""
                INSERT INTO trigger_states (tenant_id, series_id, person, trigger_version, times, updated_at)
                VALUES (:t, 1, :p, 1, '{}', now())
                """),
                bound | {"p": person},
            )
            session.execute(
                text("""
                INSERT INTO event_log (tenant_id, at, status, origin, event, person, reason, body)
                VALUES (:t, now(), 'error', 'sdk', 'e', :p, 'r', 'b')
                """),
                bound | {"p": person.removeprefix("v:")},
            )
    yield "Gone"
    idle(scope)


def test_a_person_s_real_time_is_exported_and_erased(
    scope: Scope, api: httpx.Client, person: str, intake: Intake
) -> None:
    held = api.get(f"/manage/v1/persons/{person.lower()}").json()["real_time"]
    assert {table: len(rows) for table, rows in held.items()} == {
        "accepted_events": 3,
        "event_log": 2,
        "inbox_messages_of_visitors": 0,
        "visitor_owners": 2,
        "visitors": 2,
        "trigger_states": 2,
        "trigger_firings": 2,
        "firing_messages": 2,
        "visitor_events": 1,
    }
    assert held["visitor_events"][0]["properties"] == {"secret": "zq"}
    assert api.delete(f"/manage/v1/persons/{person}").status_code == 204
    after = api.get(f"/manage/v1/persons/{person}")
    assert after.status_code == 404 or not any(after.json()["real_time"].values())
    file_all(scope)
    assert histories(scope, "gone-v") == ({}, 0)
    assert histories(scope, "stays-v") == ({}, 1)
    with scope.records() as session:
        for table in ("trigger_firings", "trigger_states"):
            sql = text(f"SELECT count(*) FROM {table} WHERE tenant_id = :t AND person = 'other'")
            assert session.execute(sql, {"t": scope.tenant_id}).scalar_one() == 1
        sql = text("SELECT count(*) FROM messages WHERE tenant_id = :t")
        assert session.execute(sql, {"t": scope.tenant_id}).scalar_one() == 1
    assert persons.export(scope, person, ["activity_events"]) == {"activity_events": []}
    idle(scope)
    # Nothing of what was hidden is in a file any more.
    sql = """
        SELECT count(), countIf(active AND NOT has_lightweight_delete) FROM system.parts
        WHERE database = currentDatabase() AND table = 'visitor_events'
    """
    parts, clean = scope.warehouse.rows(sql)[0]
    assert parts == clean > 0
