"""kill -9 several times while a campaign of push messages leaves: everybody gets it, and at most what was in flight
comes again, as the same message.
"""

import json
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apns_server
import push_services
import pytest
from gateway_server import eventually
from push_killed import ANDROID, APPLE, BATCH, PEOPLE

from loaded_program import begin_file, ended_file

SCRIPT = Path(__file__).parent / "push_killed.py"
# How many requests Apple's service has seen when the process is killed; what comes after those gets no answer.
KILLS = (4, 15, 23)
DEAD = f"{APPLE[3]}ff"


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="rapport-push-"))
    made.chmod(0o755)
    yield made / "data"
    shutil.rmtree(made, ignore_errors=True)


def google(request: push_services.Request) -> push_services.Reply:
    if request.path == "/token":
        return 200, {}, {"access_token": "g-1", "expires_in": 3600}
    return 200, {}, {"name": "projects/shop-1/messages/1"}


@pytest.mark.timeout(240)
def test_a_run_killed_several_times_reaches_every_device(folder: Path) -> None:
    most = 0

    def answer(taken: apns_server.Taken) -> Any:
        if len(apns.taken) > most:
            return None
        return (410, {}, "Unregistered") if taken.token == DEAD else apns_server.OK

    with apns_server.serving(answer=answer) as apns, push_services.serving(google) as fcm:
        for most in KILLS:
            with tempfile.TemporaryFile() as errors:
                killed = begin_file(SCRIPT, folder, apns.url, fcm.url, errors=errors)
                try:
                    eventually(lambda wanted=most: len(apns.taken) > wanted, 90)  # type: ignore[misc]
                finally:
                    killed.kill()
                    killed.wait()
                    killed.close()
        most = 10**6
        code, out, complaints = ended_file(SCRIPT, folder, apns.url, fcm.url, seconds=90)
        assert code == 0, complaints[-3000:]
    told = json.loads(out.splitlines()[-1])
    assert (told["state"], told["targeted"]) == ("successful", len(PEOPLE))
    assert Counter(told["outcomes"].values()) == {"sent": len(APPLE) + len(ANDROID) - 1, "failed": 1, "no address": 1}
    by_token = apns.by_token()
    assert sorted(by_token) == [f"{customer_id}ff" for customer_id in APPLE]
    for taken in by_token.values():
        for name in ("apns-id", "apns-collapse-id"):
            assert len({one.headers[name] for one in taken}) == 1
        assert all(one.payload == taken[0].payload for one in taken)
    messages: dict[str, list[Any]] = defaultdict(list)
    for request in fcm.requests:
        if request.path != "/token":
            message = request.json()["message"]
            messages[message["token"]].append(message)
    assert sorted(messages) == ANDROID
    assert all(each == sent[0] for sent in messages.values() for each in sent)
    repeated = len(apns.taken) - len(APPLE) + sum(map(len, messages.values())) - len(ANDROID)
    assert 0 < repeated <= len(KILLS) * BATCH, "what was in flight"
