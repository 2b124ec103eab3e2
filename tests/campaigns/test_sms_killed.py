"""kill -9 while a campaign of text messages leaves, by either way: everybody gets it, only what was in flight twice."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_server import eventually
from sms_centre import sms_centre
from sms_killed import BATCH, NUMBERS, PEOPLE
from sms_provider import SETTINGS, sms_provider

from loaded_program import begin_file, ended_file

SCRIPT = Path(__file__).parent / "sms_killed.py"
TAKEN = 10  # how many have left when it is killed


def killed_and_sent(folder: Path, settings: dict[str, Any], is_under_way: Callable[[], bool], resume: Any) -> None:
    """Kill a process in which messages are under way; the account of the one that ends its work."""
    child = begin_file(SCRIPT, folder, json.dumps(settings))
    try:
        eventually(is_under_way, 60)
    finally:
        child.kill()
        child.wait()
        child.close()
    resume()
    code, out, errors = ended_file(SCRIPT, folder, json.dumps(settings), seconds=60)
    assert code == 0, errors[-3000:]
    became = json.loads(out.splitlines()[-1])
    assert (became["state"], became["targeted"]) == ("successful", PEOPLE)
    assert became["counts"] == {"sent": PEOPLE - 1, "failed": 1}
    assert became["outcomes"] == {who: "failed" if who == "nobody" else "sent" for who in NUMBERS}


def check_taken(taken: Counter[str]) -> None:
    """Whether each number but the one that does not exist has its message, and few have it twice."""
    assert sorted(taken) == sorted(number for who, number in NUMBERS.items() if who != "nobody")
    assert sum(taken.values()) - len(taken) <= BATCH, "what was in flight, or answered and not entered yet"
    assert max(taken.values()) <= 2


@pytest.mark.timeout(180)
def test_a_run_over_smpp(folder: Path) -> None:
    with sms_centre() as centre:
        centre.hold_after = TAKEN
        settings = {
            "via": "smpp",
            "host": "127.0.0.1",
            "port": centre.port,
            "system_id": "northwind",
            "password": centre.password,
            "sender": "Northwind",
            "window": 4,
        }

        def resume() -> None:
            centre.hold_after, centre.held = 0, False

        killed_and_sent(folder, settings, lambda: centre.held, resume)
        check_taken(Counter({f"+{number}": times for number, times in centre.to.items()}))


@pytest.mark.timeout(180)
def test_a_run_over_http(folder: Path) -> None:
    with sms_provider() as provider:
        provider.shuts_after = TAKEN
        settings = {**SETTINGS, "url": provider.url, "connections": 3}

        def resume() -> None:
            provider.shuts_after = 0
            provider.gate.set()

        killed_and_sent(folder, settings, lambda: not provider.gate.is_set(), resume)
        check_taken(Counter(post["to"] for post in provider.posts))
        ids = {(post["to"], post["ref"]) for post in provider.posts}
        assert len(ids) == PEOPLE - 1, "a repetition has the id of the first"
