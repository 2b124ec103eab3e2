"""Questions to a real HTTP gateway: their shape, what answers mean, and what becomes of the firings."""

import base64
import hashlib
import hmac
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asked_firings import campaign, fire, firing, open_firings, outcomes
from gateway_server import PATIENCE_SECONDS, Asked, gateway_server, verdict
from gateway_server import eventually as until
from sqlalchemy import update

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.campaigns.triggered import definitions
from rapport.realtime import gateway_worker, gateways
from rapport.realtime.gateway_worker import Decider, Questions
from rapport.realtime.models import Firing, Gateway
from rapport.stores import Stores


@pytest.fixture(scope="module")
def decider(stores: Stores) -> Iterator[Decider]:
    made = Decider(stores)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def tenant(stores: Stores) -> Scope:
    """A tenant of a test's own: its circuit and gateway are nobody else's."""
    return create_tenant(stores, f"gateway {time.time_ns()}", "Europe/Berlin", "EUR")


def decided(scope: Scope, firing_ids: list[int]) -> list[tuple[str, str]]:
    until(lambda: open_firings(scope) == 0)
    return outcomes(scope, firing_ids)


def signature(asked: Asked, secret: str) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{asked.headers['webhook-id']}.{asked.headers['webhook-timestamp']}.".encode() + asked.raw
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def test_a_question_is_as_the_contract_says_and_signed(tenant: Scope, decider: Decider) -> None:
    of = campaign(tenant, action="Five free rounds")
    with gateway_server() as server:
        gateways.set_gateway(tenant, server.url)
        old = gateways.gateway(tenant)
        new = gateways.rotate_secret(tenant)
        (one,) = fire(tenant, of, "Q1001")
        assert decided(tenant, [one]) == [("sent", "")]
        (visit,) = fire(tenant, of, "v-77", is_visitor=True)
        decided(tenant, [visit])
        asked, of_visitor = server.asked
    assert asked.body == {
        "user": {"user_id": "Q1001", "is_visitor": False},
        "campaign": {
            "id": of.id,
            "series_id": of.series_id,
            "notes": "spring push",
            "tags": ["spring", "vip"],
            "action": {
                "id": of.plan.groups[0].action_id,
                "name": "Five free rounds",
                "promo_codes": ["FREE5"],
                "channels": [
                    {
                        "id": 505,
                        "name": "SMS",
                        "brand_id": None,
                        "templates": [{"id": 11, "name": "Spring offer EN"}],
                    }
                ],
            },
        },
    }
    assert of_visitor.body["user"] == {"user_id": "v-77", "is_visitor": True}
    assert asked.headers[":path"] == "/gateway?brand=1"
    assert asked.headers["content-type"] == "application/json"
    assert old is not None and old.secret != new.secret
    given = asked.headers["webhook-signature"].split()
    assert given == [signature(asked, new.secret), signature(asked, old.secret)], "both, for a day after a rotation"
    legacy = hmac.new(new.secret.encode(), asked.raw, hashlib.sha256).hexdigest()
    assert asked.headers["x-optimove-signature-content"] == legacy
    kept = firing(tenant, one).verdict
    assert kept is not None
    assert {name: kept[name] for name in ("allowed", "how", "found", "status", "attempts", "sentence")} == {
        "allowed": True,
        "how": "gateway",
        "found": "allowed",
        "status": 200,
        "attempts": 1,
        "sentence": "The gateway answered: allowed.",
    }
    assert 0 <= kept["milliseconds"] < 3000
    assert abs(datetime.fromisoformat(kept["asked_at"]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_an_action_without_codes_has_null(tenant: Scope, decider: Decider) -> None:
    of = campaign(tenant, codes=[])
    with gateway_server() as server:
        gateways.set_gateway(tenant, server.url)
        decided(tenant, fire(tenant, of, "Q1"))
        action = server.asked[0].body["campaign"]["action"]
    assert action["promo_codes"] is None
    assert action["channels"] is not None


def test_who_is_not_allowed_gets_nothing(tenant: Scope, decider: Decider) -> None:
    of = campaign(tenant)

    def even_only(question: dict[str, Any]) -> Any:
        user = question["user"]["user_id"]
        return {"user_id": user, "allowed": int(user[1:]) % 2 == 0, "more": "is ignored"}

    customers = [f"Q{number}" for number in range(40)]
    with gateway_server(even_only) as server:
        gateways.set_gateway(tenant, server.url)
        found = decided(tenant, fire(tenant, of, *customers))
        assert sorted(one.user_id for one in server.asked) == sorted(customers), "each was asked about once"
    assert found == [("sent", ""), ("excluded", "gateway: not allowed")] * 20


NO_VERDICTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "answer is no JSON": lambda q: (200, {}, b"yes"),
    "answer without a verdict": lambda q: {"user_id": q["user"]["user_id"], "allowed": "true"},
    "answer about another user": lambda q: {"user_id": "Q2", "allowed": True},
    "answer too long": lambda q: {**verdict()(q), "more": "x" * 70_000},
    "answered 204": lambda q: (204, {}, b""),
    "answered 201": lambda q: (201, {}, json.dumps(verdict()(q)).encode()),
    "answered 302": lambda q: (302, {"Location": "/elsewhere"}, json.dumps(verdict()(q)).encode()),
    "answered 400": lambda q: (400, {}, json.dumps(verdict()(q)).encode()),
    "answered 503": lambda q: (503, {}, json.dumps(verdict()(q)).encode()),
}


@pytest.mark.parametrize("fallback", ["deny", "allow"])
def test_what_is_no_verdict_comes_to_the_fallback(tenant: Scope, decider: Decider, fallback: gateways.Fallback) -> None:
    of = campaign(tenant)
    for found, answer in NO_VERDICTS.items():
        with gateway_server(answer) as server:
            gateways.set_gateway(tenant, server.url, fallback=fallback)
            (one,) = fire(tenant, of, "Q1")
            expected = ("sent", "") if fallback == "allow" else ("excluded", f"gateway: {found}")
            assert decided(tenant, [one]) == [expected]
            assert len(server.asked) == 1
        kept = firing(tenant, one).verdict
        assert kept is not None
        assert (kept["allowed"], kept["how"], kept["found"]) == (fallback == "allow", "fallback", found)
        assert kept["sentence"] == f"The gateway gave no verdict ({found}), so the fallback applied: {fallback}."


def test_numbers_one_and_null_are_no_booleans(tenant: Scope, decider: Decider) -> None:
    of = campaign(tenant)
    given = iter([1, 0, None, [], {}])
    with gateway_server(lambda q: {"user_id": q["user"]["user_id"], "allowed": next(given)}) as server:
        for _ in range(4):
            gateways.set_gateway(tenant, server.url, fallback="deny")  # closes the circuit
            assert decided(tenant, fire(tenant, of, "Q1")) == [("excluded", "gateway: answer without a verdict")]


def test_nobody_to_ask_means_no(tenant: Scope, decider: Decider) -> None:
    of = campaign(tenant)
    fired = fire(tenant, of, "Q1", "Q2")
    assert decided(tenant, fired) == [("excluded", "gateway: none set")] * 2
    kept = firing(tenant, fired[0]).verdict
    assert kept is not None
    assert (kept["how"], kept["attempts"], kept["asked_at"]) == ("no gateway", 0, None)


def test_a_gateway_that_is_down_or_slow(tenant: Scope, decider: Decider) -> None:
    of = campaign(tenant)
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        gateways.set_gateway(tenant, f"http://127.0.0.1:{dead.getsockname()[1]}/")
        assert decided(tenant, fire(tenant, of, "Q1")) == [("excluded", "gateway: connection refused")]
    gateways.set_gateway(tenant, "http://gateway.invalid/")
    assert decided(tenant, fire(tenant, of, "Q1")) == [("excluded", "gateway: address not usable")]
    with gateway_server() as server:
        server.gate.clear()
        gateways.set_gateway(tenant, server.url, timeout_seconds=0.3)
        (one,) = fire(tenant, of, "Q1")
        assert decided(tenant, [one]) == [("excluded", "gateway: no answer in time")]
        kept = firing(tenant, one).verdict
        assert kept is not None
        assert (kept["status"], kept["attempts"]) == (None, 1)
        assert kept["milliseconds"] >= 300 and server.answered == 0


def test_passing_faults_are_asked_again_within_the_time(tenant: Scope, decider: Decider) -> None:
    of = campaign(tenant)
    given = iter([503, 429, 200])

    def answer(question: dict[str, Any]) -> Any:
        return next(given), {}, json.dumps(verdict()(question)).encode()

    with gateway_server(answer) as server:
        gateways.set_gateway(tenant, server.url, retries=2)
        (one,) = fire(tenant, of, "Q1")
        assert decided(tenant, [one]) == [("sent", "")]
        assert len({asked.headers["webhook-id"] for asked in server.asked}) == 1
        assert len(server.asked) == 3
    kept = firing(tenant, one).verdict
    assert kept is not None and kept["attempts"] == 3
    with gateway_server(lambda q: (503, {}, b""), wait=0.25) as server:
        gateways.set_gateway(tenant, server.url, retries=3, timeout_seconds=0.6)
        (one,) = fire(tenant, of, "Q1")
        decided(tenant, [one])
        kept = firing(tenant, one).verdict
        assert kept is not None and kept["milliseconds"] >= 250
        assert len(server.asked) < 4, "retries take no more time than there is"
    with gateway_server(lambda q: (400, {}, b"")) as server:
        gateways.set_gateway(tenant, server.url, retries=3)
        decided(tenant, fire(tenant, of, "Q1"))
        assert len(server.asked) == 1, "what it says on purpose is not asked again"


def state(scope: Scope) -> str:
    found = gateways.gateway(scope)
    assert found is not None
    return gateways.circuit(found.failures, found.open_until)


def pause_is_over(scope: Scope) -> None:
    with scope.records() as session:
        past = datetime.now(UTC) - timedelta(seconds=1)
        session.execute(update(Gateway).where(Gateway.tenant_id == scope.tenant_id).values(open_until=past))


def test_the_circuit_opens_is_probed_and_closes(tenant: Scope, decider: Decider, stores: Stores) -> None:
    of = campaign(tenant)
    well = False

    def answer(question: dict[str, Any]) -> Any:
        return verdict()(question) if well else (500, {}, b"")

    with gateway_server(answer) as server:
        gateways.set_gateway(tenant, server.url)
        for number in range(gateways.TROUBLE_AFTER):
            assert state(tenant) == "closed"
            decided(tenant, fire(tenant, of, f"Q{number}"))
        assert state(tenant) == "open"
        fired = fire(tenant, of, *(f"R{number}" for number in range(50)))
        assert decided(tenant, fired) == [("excluded", "gateway: circuit open")] * 50
        assert len(server.asked) == gateways.TROUBLE_AFTER, "it is left alone"
        kept = firing(tenant, fired[0]).verdict
        assert kept is not None and (kept["how"], kept["attempts"]) == ("fallback", 0)

        pause_is_over(tenant)
        assert state(tenant) == "half-open"
        fired = fire(tenant, of, *(f"S{number}" for number in range(20)))
        found = decided(tenant, fired)
        assert len(server.asked) == gateways.TROUBLE_AFTER + 1, "one question tries"
        assert Counter(found) == {("excluded", "gateway: answered 500"): 1, ("excluded", "gateway: circuit open"): 19}
        assert state(tenant) == "open"

        pause_is_over(tenant)
        well = True
        assert decided(tenant, fire(tenant, of, "T1")) == [("sent", "")]
        assert state(tenant) == "closed"
        assert decided(tenant, fire(tenant, of, "T2")) == [("sent", "")]
    found_gateway = gateways.gateway(tenant)
    assert found_gateway is not None and (found_gateway.failures, found_gateway.open_until) == (0, None)


def test_an_answer_between_failures_keeps_the_circuit_closed(tenant: Scope, decider: Decider) -> None:
    of = campaign(tenant)
    number = 0

    def answer(question: dict[str, Any]) -> Any:
        nonlocal number
        number += 1
        return verdict(False)(question) if number % 4 == 0 else (500, {}, b"")

    with gateway_server(answer) as server:
        gateways.set_gateway(tenant, server.url)
        for one in range(12):
            decided(tenant, fire(tenant, of, f"Q{one}"))
        assert len(server.asked) == 12


def test_slow_questions_of_one_tenant_are_so_many_at_once_and_delay_nobody(
    tenant: Scope, stores: Stores, decider: Decider
) -> None:
    other = create_tenant(stores, f"prompt {time.time_ns()}", "UTC", "EUR")
    slow_campaign, prompt_campaign = campaign(tenant), campaign(other)
    with gateway_server() as slow, gateway_server() as prompt:
        slow.gate.clear()
        gateways.set_gateway(tenant, slow.url, timeout_seconds=PATIENCE_SECONDS)
        gateways.set_gateway(other, prompt.url)
        fire(tenant, slow_campaign, *(f"S{number}" for number in range(60)))
        until(lambda: len(slow.asked) == gateway_worker.PER_TENANT)
        fired = fire(other, prompt_campaign, *(f"P{number}" for number in range(20)))
        assert decided(other, fired) == [("sent", "")] * 20
        assert slow.answered == 0 and open_firings(tenant) == 60, "those who wait for the slow gateway wait still"
        slow.gate.set()
        until(lambda: open_firings(tenant) == 0)
        assert slow.most_at_once == gateway_worker.PER_TENANT
        assert len(slow.asked) == 60


def test_two_deciders_ask_about_each_firing_once(tenant: Scope, stores: Stores, decider: Decider) -> None:
    of = campaign(tenant)
    other = Decider(stores)
    other.start()
    try:
        with gateway_server(wait=0.02) as server:
            gateways.set_gateway(tenant, server.url)
            fired = fire(tenant, of, *(f"Q{number}" for number in range(150)))
            assert decided(tenant, fired) == [("sent", "")] * 150
            assert len(server.asked) == len({one.user_id for one in server.asked}) == 150
    finally:
        other.stop()


def test_the_verdict_of_an_expired_lease_changes_nothing(tenant: Scope, stores: Stores) -> None:
    of = campaign(tenant)
    soon = datetime.now(UTC) + timedelta(hours=1)
    mine, theirs = soon, soon + timedelta(seconds=1)
    (one,) = fire(tenant, of, "Q1", leased_until=theirs)
    question = gateway_worker.Question(
        one,
        tenant.tenant_id,
        of.series_id,
        of.id,
        1,
        "Q1",
        False,
        mine,
        "http://x/",
        "http://x/",
        "",
        None,
        3,
        0,
        "allow",
        0,
        None,
    )
    Questions(stores).settle(tenant.tenant_id, [(question, gateway_worker.unasked("allow"))])
    assert (firing(tenant, one).state, firing(tenant, one).verdict) == ("asking", None)
    Questions(stores).settle(tenant.tenant_id, [(replace(question, lease=theirs), gateway_worker.unasked("allow"))])
    assert (firing(tenant, one).state, firing(tenant, one).outcome) == ("done", "sent")


@pytest.mark.parametrize("status", ["paused", "archived"])
def test_nobody_is_asked_for_a_trigger_that_is_not_active(tenant: Scope, stores: Stores, status: str) -> None:
    of = campaign(tenant)
    lease = datetime.now(UTC) + timedelta(hours=1)
    asked, waiting = fire(tenant, of, "Q1", "Q2", leased_until=lease)
    question = gateway_worker.Question(
        asked,
        tenant.tenant_id,
        of.series_id,
        of.id,
        1,
        "Q1",
        False,
        lease,
        "http://x/",
        "http://x/",
        "",
        None,
        3,
        0,
        "allow",
        0,
        None,
    )
    definitions.set_triggered_status(tenant, of.series_id, status)
    Questions(stores).settle(tenant.tenant_id, [(question, gateway_worker.unasked("allow"))])
    with tenant.records() as session:
        session.execute(update(Firing).where(Firing.id == waiting).values(leased_until=None))
    Questions(stores).claim(100, {})
    until(lambda: open_firings(tenant) == 0)
    skipped = ("skipped", "its trigger is not active any more")
    assert outcomes(tenant, [asked, waiting]) == [skipped, skipped]


def test_what_a_dead_process_leased_is_asked_again(tenant: Scope, decider: Decider) -> None:
    of = campaign(tenant)
    with gateway_server() as server:
        gateways.set_gateway(tenant, server.url)
        (one,) = fire(tenant, of, "Q1", leased_until=datetime.now(UTC) - timedelta(milliseconds=1))
        assert decided(tenant, [one]) == [("sent", "")]
