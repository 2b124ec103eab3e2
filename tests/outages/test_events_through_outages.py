"""Events, what they fire and what is told of it, while the records or the mail server are away."""

import json
import threading
import time
from collections import Counter

import pytest
from served import UNDONE, Outside, Served, event
from webhook_receiver import eventually

from engine_outages import Outage, full, hung, stopped

OUTAGE_SECONDS = 1.5


class Sender(threading.Thread):
    """Sends events one after the other, each until it is answered for; numbers are unique in a module."""

    numbers = 0

    def __init__(self, served: Served, event: str) -> None:
        super().__init__()
        self.served, self.event = served, event
        self.sent: list[int] = []
        self.answers: Counter[int] = Counter()
        self.faults: list[str] = []
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.is_set():
            Sender.numbers += 1
            self._send(Sender.numbers)
            self.sent.append(Sender.numbers)

    def _send(self, number: int) -> None:
        body = event(self.served, self.event, number)
        while True:
            answer = self.served.client.post(self.served.sdk, json=body)
            self.answers[answer.status_code] += 1
            if answer.status_code == 200:
                return
            if answer.status_code != 503 or int(answer.headers.get("Retry-After", 0)) <= 0:
                self.faults.append(f"{answer.status_code} {answer.text}")
            time.sleep(0.05)


def address(number: int) -> str:
    return f"c{number}@example.com"


def sent_through(served: Served, name: str, outage: Outage) -> Sender:
    """Send events before, during and after an outage of the records; what was sent."""
    sender = Sender(served, name)
    sender.start()
    try:
        eventually(lambda: len(sender.sent) >= 30)
        with outage(served.postgres):
            time.sleep(OUTAGE_SECONDS)
        before = len(sender.sent)
        eventually(lambda: len(sender.sent) >= before + 20)
    finally:
        sender.enough.set()
        sender.join()
    assert sender.faults == []
    eventually(lambda: served.asked(UNDONE) == 0)
    return sender


@pytest.mark.parametrize("outage", [stopped, full])
def test_what_was_accepted_fires_and_is_told_once(served: Served, outside: Outside, outage: Outage) -> None:
    outside.receiver.posts.clear()
    sender = sent_through(served, "told", outage)
    told = Counter(json.loads(post.body)["event_n"] for post in outside.receiver.posts)
    assert told == Counter(sender.sent)
    for number in sender.sent[:: len(sender.sent) // 8]:  # each of a customer of its own
        held = served.client.get(f"/manage/v1/persons/{address(number)}").json()
        assert [row["properties"]["n"] for row in held["warehouse"]["activity_events"]] == [str(number)]


@pytest.mark.parametrize("outage", [stopped, hung])
def test_what_was_accepted_is_mailed_once(served: Served, outside: Outside, outage: Outage) -> None:
    outside.box.to.clear()
    sender = sent_through(served, "mailed", outage)
    assert outside.box.to == Counter(address(number) for number in sender.sent)


def accepted(served: Served, name: str, many: int) -> Counter[int]:
    """Send events that are all accepted; their numbers."""
    sender = Sender(served, name)
    sent = range(Sender.numbers + 1, Sender.numbers + 1 + many)
    Sender.numbers += many
    for number in sent:
        sender._send(number)
    assert sender.answers == {200: many}
    return Counter(sent)


def test_mail_of_firings_waits_for_its_server(served: Served, outside: Outside) -> None:
    outside.box.to.clear()
    with outside.without_mail():
        sent = accepted(served, "mailed", 40)
        waiting = "SELECT count(*) FROM messages WHERE state IN ('pending', 'claimed') AND claims >= 3"
        eventually(lambda: served.asked(waiting) == len(sent))
    eventually(lambda: served.asked(UNDONE) == 0)
    assert outside.box.to == Counter(address(number) for number in sent)
    assert served.asked("SELECT count(*) FROM trigger_firings WHERE outcome = 'failed'") == 0
