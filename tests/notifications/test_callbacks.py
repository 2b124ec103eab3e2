"""Callbacks of accepted writes: posted by the deliverer, each host a queue of its own, nobody waits for another's."""

import json
import socket
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select
from test_deliveries import expected_signature
from webhook_receiver import eventually, receiving

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.customers import changes
from rapport.customers.writes import attribute_requests
from rapport.notifications import service
from rapport.notifications.deliverer import MAX_IN_FLIGHT, PER_TENANT, Deliverer
from rapport.notifications.models import CALLBACK, Delivery, Listener
from rapport.stores import Stores
from rapport.stores.clock import Clock
from silent_host import silent


@pytest.fixture
def other(scope: Scope) -> Scope:
    """One more tenant, with a customer whose country may be updated."""
    made = create_tenant(scope.stores, f"other-{time.time_ns()}")
    changes.change_attribute(made, "COUNTRY", {"api_updatable": True})
    attribute_requests.upsert(made, "Z", [], None)
    return made


def update(scope: Scope, country: str, url: str | None) -> str:
    return attribute_requests.update_attributes(scope, [{"customer": "Z", "values": [["COUNTRY", country]]}], url)


def country(scope: Scope) -> str | None:
    found: str | None = scope.warehouse.value("SELECT COUNTRY FROM customers WHERE customer_id = 'Z'")
    return found


def hosts(scope: Scope) -> list[Listener]:
    return [one for one in service.listeners(scope, with_callbacks=True) if one.event_type_id == CALLBACK]


def deliveries(scope: Scope) -> list[Delivery]:
    with scope.records() as session:
        return list(
            session.scalars(select(Delivery).where(Delivery.tenant_id == scope.tenant_id).order_by(Delivery.id))
        )


@pytest.fixture
def patient(stores: Stores) -> Iterator[Deliverer]:
    """A deliverer that waits longer than a test takes."""
    made = Deliverer(stores, {}, timeout=300)
    made.patience = 0
    made.start()
    yield made
    made.stop()


def test_an_outcome_is_posted_as_the_contract_says_and_signed(other: Scope, deliverer: Deliverer) -> None:
    with receiving() as receiver:
        request_id = update(other, "Peru", receiver.url)
        eventually(lambda: len(receiver.posts) == 1)
        (post,) = receiver.posts
    assert json.loads(post.body) == {"isSuccess": True, "requestId": request_id}
    assert post.path == "/hook?src=1" and post.headers["content-type"] == "application/json"
    (host,) = hosts(other)
    assert host.url == f"http://127.0.0.1:{receiver.port}"
    assert post.headers["webhook-signature"] == expected_signature(
        post.headers["webhook-id"], post.headers["webhook-timestamp"], post.body, host.secret
    )


def test_callbacks_of_one_host_are_one_queue_whatever_their_login(other: Scope, deliverer: Deliverer) -> None:
    with receiving() as receiver:
        for login in ("ann:one", "bob:two"):
            update(other, "Peru", receiver.url.replace("//", f"//{login}@") + "&token=t")
        eventually(lambda: len(receiver.posts) == 2)
    logins = {b64decode(post.headers["authorization"].removeprefix("Basic ")) for post in receiver.posts}
    assert (logins, {post.path for post in receiver.posts}) == ({b"ann:one", b"bob:two"}, {"/hook?src=1&token=t"})
    assert [host.url for host in hosts(other)] == [f"http://127.0.0.1:{receiver.port}"]


def test_faults_are_told(other: Scope, deliverer: Deliverer) -> None:
    with receiving() as receiver:
        items = [
            {"customer": who, "values": [["COUNTRY", "Peru"], ["NOPE", 1]]} for who in ("z", "nobody", "undefined")
        ]
        request_id = attribute_requests.update_attributes(other, items, receiver.url)
        eventually(lambda: len(receiver.posts) == 1)
        told = json.loads(receiver.posts[0].body)
        assert (told["isSuccess"], told["requestId"]) == (False, request_id)
        assert [(one["error"], one["customerId"], one["realFieldName"]) for one in told["errors"]] == [
            ("INVALID_FIELD", "z", "NOPE"),
            ("INVALID_CUSTOMER", "nobody", "COUNTRY"),
            ("INVALID_CUSTOMER", "nobody", "NOPE"),
            ("INVALID_CUSTOMER", "undefined", "COUNTRY"),
            ("INVALID_CUSTOMER", "undefined", "NOPE"),
        ]
        attribute_requests.upsert(other, "New", [["NOPE", 1]], receiver.url)
        attribute_requests.add_attribute(other, "SHADE", "NVARCHAR(9)", None, receiver.url)
        eventually(lambda: len(receiver.posts) == 3)
        bodies = [json.loads(post.body) for post in receiver.posts[1:]]
    assert {"attributeName": "SHADE", "isSuccess": True} in bodies
    fault = {"error": "INVALID_FIELD", "customerId": "New", "realFieldName": "NOPE"}
    assert {"isSuccess": False, "errors": [fault]} in bodies


def test_a_callback_that_fails_is_repeated_under_its_id(other: Scope, deliverer: Deliverer, clock: Clock) -> None:
    with receiving((500, {}, 0), (410, {}, 0), (200, {}, 0)) as receiver:
        update(other, "Peru", receiver.url)
        eventually(lambda: deliveries(other) and deliveries(other)[0].last_status == 500)
        clock.advance(timedelta(seconds=16))
        eventually(lambda: deliveries(other)[0].state == "parked")
        assert len(set(receiver.ids())) == 1, "410 ends this one"
        update(other, "Chile", receiver.url)
        eventually(lambda: deliveries(other)[-1].state == "delivered")
    assert [host.status for host in hosts(other)] == ["active"]


def test_a_callback_that_does_not_answer_holds_up_nobody(scope: Scope, other: Scope, patient: Deliverer) -> None:
    changes.change_attribute(scope, "COUNTRY", {"api_updatable": True})
    attribute_requests.upsert(scope, "Z", [], None)
    with silent() as (port, taken), receiving() as receiver:
        for number in range(40):
            update(scope, f"v{number}", f"http://127.0.0.1:{port}/{number}")
        eventually(lambda: taken() > 0)
        update(other, "Peru", receiver.url)
        update(scope, "Chile", None)
        update(scope, "Bolivia", receiver.url)
        eventually(lambda: len(receiver.posts) == 2)
        assert (country(other), country(scope)) == ("Peru", "Bolivia")
        assert {one.state for one in deliveries(scope) if f":{port}/" in str(one.url)} == {"pending"}, "none has ended"


def test_many_silent_hosts_of_one_tenant_leave_room_for_others(scope: Scope, other: Scope, patient: Deliverer) -> None:
    with silent("0.0.0.0") as (port, taken), receiving() as receiver:
        count = MAX_IN_FLIGHT + 20
        for number in range(count):
            attribute_requests.upsert(
                other, f"C{number}", [], f"http://127.1.{number // 200}.{number % 200 + 1}:{port}/"
            )
        eventually(lambda: taken() >= PER_TENANT)
        service.register_listener(scope, 3, receiver.url)
        with scope.records() as session:
            service.notify(scope, session, 3, {}, "an event")
        eventually(lambda: len(receiver.posts) == 1)
        eventually(lambda: len(hosts(other)) == count)
        assert {one.state for one in deliveries(other)} == {"pending"}
        assert taken() < MAX_IN_FLIGHT


def test_hosts_of_callbacks_are_shown_with_their_secrets_and_are_no_listeners(
    base_url: str, other: Scope, deliverer: Deliverer
) -> None:
    _, secret = keys.create_key(other, "tests", "tests@example.com", "Admin")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}) as api, receiving() as receiver:
        update(other, "Peru", receiver.url)
        update(other, "Chile", receiver.url.replace("/hook", "/other"))
        eventually(lambda: len(receiver.posts) == 2)
        (shown,) = api.get("/manage/v1/listeners").json()
        assert (shown["event_type_id"], shown["channel_id"], shown["url"]) == (0, None, hosts(other)[0].url)
        bodies = [one["body"] for one in api.get(f"/manage/v1/listeners/{shown['id']}/deliveries").json()]
        assert len(bodies) == 2 and all("requestId" in body for body in bodies)
        assert api.get("/current/general/GetRegisteredEventListeners").json() == []


def test_a_name_that_takes_long_to_look_up_holds_up_no_call(
    scope: Scope, other: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is accepted, since every post looks it up again."""
    real, ended = socket.getaddrinfo, threading.Event()

    def slow(host: str, *arguments: object, **options: object) -> object:
        if host == "slow.example":
            ended.wait(60)
            raise socket.gaierror
        return real(host, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr("rapport.hosts.PATIENCE_SECONDS", 0.1)
    try:
        update(other, "Peru", "https://slow.example/hook")
        service.register_listener(scope, 2, "https://slow.example/hook")
        eventually(lambda: country(other) == "Peru")
        assert not ended.is_set()
    finally:
        ended.set()
