"""Deliveries over real HTTP: at least once, signed, retried, and no listener waits for another."""

import base64
import hashlib
import hmac
import json
import socket
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs
from webhook_receiver import eventually, receiving

from loaded_program import begin_script
from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.errors import Conflict
from rapport.notifications import service
from rapport.notifications.deliverer import PER_LISTENER, Deliverer, DeliveryQueue
from rapport.notifications.models import Delivery, Listener
from rapport.stores import Stores
from rapport.stores.clock import Clock
from rapport.stores.outside.posting import Answer


@pytest.fixture(autouse=True)
def no_listeners(scope: Scope) -> None:
    """Every test begins without listeners."""
    for found in service.listeners(scope):
        service.unregister_listener(scope, found.event_type_id, found.channel_id or None)


def tell(scope: Scope, key: str, event: int = 3, **options: object) -> None:
    with scope.records() as session:
        service.notify(scope, session, event, {}, key, **options)


def states(scope: Scope, listener: Listener) -> list[str]:
    return [delivery.state for delivery in service.deliveries(scope, listener.id)]


def only(scope: Scope, listener: Listener) -> Delivery:
    (found,) = service.deliveries(scope, listener.id)
    return found


def expected_signature(post_id: str, timestamp: str, body: bytes, secret: str) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{post_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def test_a_post_is_as_the_contract_says_and_signed(scope: Scope, deliverer: Deliverer) -> None:
    scope.clock.set(datetime(2025, 7, 1, 23, 5, 59, tzinfo=UTC))  # 01:05 of the next day in Berlin
    with receiving() as receiver:
        listener = service.register_listener(scope, 13, receiver.url)
        with scope.records() as session:
            service.notify(scope, session, 13, {"CampaignID": 7731, "ChannelID": 505}, "13/7731/505", channel_id=505)
        eventually(lambda: states(scope, listener) == ["delivered"])
        (post,) = receiver.posts
    scope.clock.set(None)
    assert json.loads(post.body) == {
        "EventTypeID": 13,
        "TimeStamp": "2025-07-02 01:05",
        "CampaignID": 7731,
        "ChannelID": 505,
    }
    assert post.path == "/hook?src=1"
    assert post.headers["content-type"] == "application/json"
    assert abs(int(post.headers["webhook-timestamp"]) - time.time()) < 60, "real time, whatever the tenant's clock says"
    assert post.headers["webhook-signature"] == expected_signature(
        post.headers["webhook-id"], post.headers["webhook-timestamp"], post.body, listener.secret
    )
    own = hmac.new(listener.secret.encode(), post.body, hashlib.sha256).hexdigest()
    assert (post.headers["x-optimove-signature-content"], post.headers["x-optimove-signature-version"]) == (own, "1")


def test_a_delivery_leaves_when_its_event_commits(scope: Scope, stores: Stores, clock: Clock) -> None:
    class Woken(Deliverer):
        poll = 1000.0  # nothing but the commit makes it look

    woken = Woken(stores, {}, clock)
    woken.start()
    try:
        with receiving() as receiver:
            service.register_listener(scope, 3, receiver.url)
            for number in range(7):
                tell(scope, f"quick {number}")
                eventually(lambda number=number: len(receiver.posts) == number + 1)
    finally:
        woken.stop()


def test_which_listeners_are_told(scope: Scope, deliverer: Deliverer) -> None:
    channels.create_channel(scope, "SMS", "external")
    channels.create_channel(scope, "Push", "external")
    with receiving() as receiver:
        at = f"http://127.0.0.1:{receiver.port}/"
        for event, channel_id in [(13, None), (13, 505), (13, 506), (1, None), (1, 505), (1, 506), (4, 506)]:
            service.register_listener(scope, event, f"{at}{event}-{channel_id}", channel_id)
        tell(scope, "of one channel", 13, channel_id=505)
        tell(scope, "of a campaign's channels", 1, channel_ids=[504, 505])
        tell(scope, "of no channel", 4)
        tell(scope, "of no listener", 2)
        eventually(lambda: len(receiver.posts) >= 5)
        time.sleep(0.1)
        paths = sorted(post.path for post in receiver.posts)
    assert paths == ["/1-505", "/1-None", "/13-505", "/13-None", "/4-506"]


def test_an_event_is_told_once_and_only_if_its_transaction_commits(scope: Scope, deliverer: Deliverer) -> None:
    with receiving() as receiver:
        listener = service.register_listener(scope, 2, receiver.url)
        with pytest.raises(ZeroDivisionError), scope.records() as session:
            service.notify(scope, session, 2, {}, "undone")
            raise ZeroDivisionError
        for _ in range(3):
            tell(scope, "the day", 2)
        eventually(lambda: states(scope, listener) == ["delivered"])
        time.sleep(0.1)
        assert len(receiver.posts) == 1


def test_one_slow_and_one_dead_listener_hold_up_nobody(scope: Scope, patient: Deliverer) -> None:
    with receiving() as slow, receiving() as good, socket.socket() as dead:
        slow.gate.clear()
        dead.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        service.register_listener(scope, 2, slow.url)
        service.register_listener(scope, 4, f"http://127.0.0.1:{dead.getsockname()[1]}/")
        fine = service.register_listener(scope, 3, good.url)
        for number in range(40):
            tell(scope, f"a {number}", 2)
            tell(scope, f"b {number}", 4)
        eventually(lambda: len(slow.posts) == PER_LISTENER)
        for number in range(40):
            tell(scope, f"c {number}", 3)
        eventually(lambda: len(good.posts) == 40)
        eventually(lambda: states(scope, fine) == ["delivered"] * 40)
        assert slow.answered == 0, "nobody has waited for the slow one"
        assert len(slow.posts) == PER_LISTENER, "only so many posts at once go to one listener"
        slow.gate.set()


def test_a_dead_listener_is_left_alone_for_a_while(scope: Scope, deliverer: Deliverer, clock: Clock) -> None:
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        listener = service.register_listener(scope, 3, f"http://127.0.0.1:{dead.getsockname()[1]}/")
        for number in range(50):
            tell(scope, f"dead {number}")
        eventually(lambda: service.listener(scope, listener.id).paused_until)
        time.sleep(0.2)
        tried = sum(delivery.attempts for delivery in service.deliveries(scope, listener.id))
        assert 5 <= tried <= PER_LISTENER + 4
        assert {delivery.last_error for delivery in service.deliveries(scope, listener.id)} == {
            "",
            "connection refused",
        }
        clock.advance(timedelta(minutes=10))  # the pause is over: one post at a time tries whether it is back
        eventually(lambda: sum(d.attempts for d in service.deliveries(scope, listener.id)) > tried)
        time.sleep(1.2)
        assert sum(d.attempts for d in service.deliveries(scope, listener.id)) == tried + 1


def test_a_failed_post_is_repeated_under_its_id(scope: Scope, deliverer: Deliverer, clock: Clock) -> None:
    with receiving((500, {}, 0), (500, {}, 0), (204, {}, 0)) as receiver:
        listener = service.register_listener(scope, 3, receiver.url)
        tell(scope, "flaky")
        for failed in (1, 2):
            eventually(lambda failed=failed: only(scope, listener).last_status and len(receiver.posts) == failed)
            eventually(lambda: only(scope, listener).leased_until is None)
            found = only(scope, listener)
            wait = (found.due_at - clock.now()).total_seconds()
            assert 2.5 * 2 ** (failed - 1) <= wait <= 7.5 * 2 ** (failed - 1)
            clock.advance(timedelta(seconds=16))
        eventually(lambda: only(scope, listener).state == "delivered")
        assert len(set(receiver.ids())) == 1
        assert len({post.body for post in receiver.posts}) == 1
        assert (only(scope, listener).attempts, service.listener(scope, listener.id).failures) == (3, 0)


def test_retry_after_is_honoured(scope: Scope, deliverer: Deliverer, clock: Clock) -> None:
    with receiving((503, {"Retry-After": "120"}, 0), (200, {}, 0)) as receiver:
        listener = service.register_listener(scope, 3, receiver.url)
        tell(scope, "busy")
        eventually(lambda: only(scope, listener).last_status == 503)
        tell(scope, "another")  # the listener as a whole is left alone
        clock.advance(timedelta(seconds=110))
        time.sleep(1.2)
        assert len(receiver.posts) == 1
        clock.advance(timedelta(seconds=20))
        eventually(lambda: states(scope, listener) == ["delivered"] * 2)


def test_gone_disables_and_parks_until_registered_again(scope: Scope, deliverer: Deliverer) -> None:
    with receiving((410, {}, 0), (200, {}, 0)) as receiver:
        listener = service.register_listener(scope, 3, receiver.url)
        tell(scope, "gone")
        eventually(lambda: service.listener(scope, listener.id).status == "disabled")
        tell(scope, "later")
        assert states(scope, listener) == ["parked", "parked"]
        with pytest.raises(Conflict):
            service.replay(scope, listener.id)
        again = service.register_listener(scope, 3, receiver.url)
        assert (again.id, again.status, again.secret) == (listener.id, "active", listener.secret)
        assert service.replay(scope, listener.id) == 2
        eventually(lambda: states(scope, listener) == ["delivered"] * 2)


def test_redirects_are_not_followed(scope: Scope, deliverer: Deliverer) -> None:
    with receiving() as inner, receiving((307, {"Location": inner.url}, 0)) as receiver:
        listener = service.register_listener(scope, 3, receiver.url)
        tell(scope, "redirect")
        eventually(lambda: only(scope, listener).last_status == 307)
        assert (only(scope, listener).state, inner.posts) == ("pending", [])


def test_after_a_day_of_failures_a_delivery_is_parked(scope: Scope, deliverer: Deliverer, clock: Clock) -> None:
    with receiving((500, {}, 0)) as receiver:
        listener = service.register_listener(scope, 3, receiver.url)
        tell(scope, "hopeless")
        eventually(lambda: only(scope, listener).last_status == 500)
        clock.advance(timedelta(hours=23, minutes=59, seconds=58))
        eventually(lambda: only(scope, listener).state == "parked")
        assert len(receiver.posts) == 2
        receiver.answers[:] = [(200, {}, 0)]
        assert service.replay(scope, listener.id, only(scope, listener).id) == 1
        eventually(lambda: only(scope, listener).state == "delivered")


def test_the_lease_of_a_killed_process_runs_out(stores: Stores, scope: Scope, clock: Clock) -> None:
    with receiving() as receiver:
        listener = service.register_listener(scope, 3, receiver.url)
        tell(scope, "orphan")
        killed = DeliveryQueue(stores, {}, clock)
        mine = (scope.tenant_id, listener.id)  # other tenants have listeners of the same number
        (task,) = [task for task in killed.claim(1000) if (task.tenant_id, task.listener_id) == mine]
        deliverer = Deliverer(stores, {}, clock)
        deliverer.start()
        try:
            time.sleep(0.3)
            assert receiver.posts == []
            clock.advance(timedelta(seconds=31))
            eventually(lambda: states(scope, listener) == ["delivered"])
        finally:
            deliverer.stop()
        killed.settle([(task, Answer(500, "answered 500"))])  # it was not dead after all: too late to say anything
        assert states(scope, listener) == ["delivered"]
        assert receiver.ids() == [task.message_id]


def test_what_is_under_way_is_not_posted_again_although_its_lease_ran_out(
    scope: Scope, patient: Deliverer, clock: Clock
) -> None:
    with receiving() as slow, receiving() as other:
        slow.gate.clear()
        listener = service.register_listener(scope, 3, slow.url)
        service.register_listener(scope, 4, other.url)
        tell(scope, "answered late")
        eventually(lambda: len(slow.posts) == 1)
        clock.advance(timedelta(minutes=2))
        tell(scope, "claimed meanwhile", event=4)
        eventually(lambda: len(other.posts) == 1)
        assert len(slow.posts) == 1
        slow.gate.set()
        eventually(lambda: states(scope, listener) == ["delivered"])
        assert len(slow.posts) == 1


CHILD = """
import sys, time, types
from rapport.notifications.deliverer import Deliverer
from rapport.settings import Settings
from rapport.stores.records import Records
from rapport.stores.workers.base import Workers
settings = Settings(allow_private_addresses=True)
Deliverer(types.SimpleNamespace(records=Records(sys.argv[1]), settings=settings, workers=Workers()), {}).start()
time.sleep(60)
"""


def test_a_post_in_flight_at_kill_9_is_made_again(stores: Stores, scope: Scope, clock: Clock) -> None:
    with receiving((200, {}, 30), (200, {}, 0)) as receiver:
        listener = service.register_listener(scope, 3, receiver.url)
        tell(scope, "in flight")
        child = begin_script(CHILD, stores.records.url)
        try:
            eventually(lambda: receiver.posts, 30)
        finally:
            child.kill()
            child.wait()
        assert (only(scope, listener).state, only(scope, listener).attempts) == ("pending", 1)
        clock.set(datetime.now(UTC) + timedelta(seconds=31))
        deliverer = Deliverer(stores, {}, clock)
        deliverer.start()
        try:
            eventually(lambda: states(scope, listener) == ["delivered"])
        finally:
            deliverer.stop()
        assert len(receiver.ids()) == 2
        assert len(set(receiver.ids())) == 1


def test_two_deliverers_post_each_event_once(stores: Stores, scope: Scope, deliverer: Deliverer) -> None:
    other = Deliverer(stores, {})
    other.start()
    try:
        with receiving() as receiver:
            listener = service.register_listener(scope, 3, receiver.url)
            with scope.records() as session:
                for number in range(100):
                    service.notify(scope, session, 3, {"Number": number}, f"many {number}")
            eventually(lambda: states(scope, listener) == ["delivered"] * 100, 15)
            assert len(receiver.posts) == len(set(receiver.ids())) == 100
    finally:
        other.stop()


def test_a_lost_connection_to_the_records_is_made_again(scope: Scope, deliverer: Deliverer) -> None:
    ears = "SELECT pid FROM pg_stat_activity WHERE query = 'LISTEN rapport_deliveries'"

    def listening() -> set[int]:
        with scope.records() as session:
            return set(session.scalars(text(ears)))

    eventually(listening)
    before = listening()
    with scope.records() as session:
        session.execute(text(f"SELECT pg_terminate_backend(pid) FROM ({ears}) AS e"))
    eventually(lambda: listening() - before)
    with receiving() as receiver:
        listener = service.register_listener(scope, 3, receiver.url)
        tell(scope, "after the loss")
        eventually(lambda: states(scope, listener) == ["delivered"])


def test_unregistering_cancels_what_is_left(scope: Scope, deliverer: Deliverer) -> None:
    with receiving((500, {}, 0)) as receiver:
        listener = service.register_listener(scope, 3, receiver.url)
        tell(scope, "left")
        eventually(lambda: only(scope, listener).last_status == 500)
        assert service.unregister_listener(scope, 3)
        assert not service.unregister_listener(scope, 3)
        assert states(scope, listener) == ["canceled"]


def test_after_a_rotation_both_secrets_sign(scope: Scope, deliverer: Deliverer) -> None:
    with receiving() as receiver:
        before = service.register_listener(scope, 3, receiver.url)
        after = service.rotate_secret(scope, before.id)
        tell(scope, "rotated")
        eventually(lambda: receiver.posts)
        (post,) = receiver.posts
    names = (post.headers["webhook-id"], post.headers["webhook-timestamp"], post.body)
    wanted = [expected_signature(*names, secret) for secret in (after.secret, before.secret)]
    assert wanted[0] != wanted[1]
    assert post.headers["webhook-signature"].split(" ") == wanted


def test_an_endless_answer_ends(scope: Scope, deliverer: Deliverer) -> None:
    with receiving((200, {"Content-Length": "10"}, 0)) as receiver:  # promises ten bytes that never come
        listener = service.register_listener(scope, 3, receiver.url)
        tell(scope, "endless")
        eventually(lambda: only(scope, listener).last_error == "no answer in time")
        assert only(scope, listener).state == "pending"


def test_what_has_ended_is_kept_for_a_week_and_what_is_parked_for_a_month(scope: Scope) -> None:
    listener = service.register_listener(scope, 3, "http://127.0.0.1:9/")
    kept_of = {"delivered": 7, "canceled": 7, "parked": 30, "pending": 10_000}
    ages = (6.9, 7.1, 29.9, 30.1, 400)
    with scope.records() as session:
        for state in kept_of:
            for age in ages:
                service.notify(scope, session, 3, {}, f"{state}/{age}")
                ended = None if state == "pending" else datetime.now(UTC) - timedelta(days=age)
                changes = {"s": state, "at": ended, "due": datetime.now(UTC) + timedelta(days=1), "k": f"{state}/{age}"}
                sql = "UPDATE deliveries SET state = :s, finished_at = :at, due_at = :due WHERE event_key = :k"
                session.execute(text(sql), changes)
        service.drop_ended(session, "(0,0)", "(100000,0)")
    found = {one.event_key for one in service.deliveries(scope, listener.id)}
    assert found == {f"{state}/{age}" for state, days in kept_of.items() for age in ages if age < days}


def test_a_deliverer_without_room_claims_nothing_and_has_no_fault(
    stores: Stores, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callbacks are taken up beside the posts, whose room is used up; the first look comes after both."""
    with receiving() as receiver:
        listener = service.register_listener(scope, 3, receiver.url)
        tell(scope, "waits")
        deliverer, began = Deliverer(stores, {}), time.monotonic()
        monkeypatch.setattr("rapport.notifications.deliverer.MAX_IN_FLIGHT", 0)
        with capture_logs() as logs:
            deliverer.start()
            try:
                eventually(lambda: getattr(deliverer, "_called_back", 0.0) > began)
            finally:
                deliverer.stop()
        assert [entry for entry in logs if entry.get("worker") == "deliverer"] == []
        assert states(scope, listener) == ["pending"]
