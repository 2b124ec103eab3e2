"""A backup of an earlier release, taken amid campaigns and firings: it answers the same, and goes on where it was.

`make_earlier_backup.py` says what is in it and how it is made.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from earlier_answers import ANSWERS, BACKUP, BACKUP_KEY, MAIL, SECRET_KEY, SMS
from rapport_command import run

from loaded_program import ended_file

sys.path.append(str(Path(__file__).parents[1] / "campaigns"))
from campaign_mail import mailbox

CHILD = Path(__file__).parent / "earlier_child.py"
KEYS = {"RAPPORT_BACKUP_KEY": BACKUP_KEY, "RAPPORT_SECRET_KEY": SECRET_KEY}
OF_BEFORE = ("key", "arrived", "ledger", "messages", "firings")
HALF, LATER = 2, 3
# Sentences for people, which a release may word anew.
WORDED = {"words", "verdict", "sentence", "warnings", "counted", "description", "Description"}


@dataclass(frozen=True)
class Restored:
    """What the earlier release said, what this one answers before anything goes on, how all ended, and the mail."""

    before: dict[str, Any]
    held: dict[str, Any]
    ended: dict[str, Any]
    mail: list[tuple[str, str]]

    def outcomes(self, campaign: int, channel: int = MAIL) -> dict[str, tuple[str, str]]:
        """Outcome and reason of a campaign's customers; each has one."""
        found = [row for row in self.ended["outcomes"] if row[0] == campaign and row[2] in (0, channel)]
        assert len({row[1] for row in found}) == len(found)
        return {who: (outcome, reason) for _, who, _, outcome, reason in found}


@pytest.fixture(scope="module")
def restored(folder: Path) -> Iterator[Restored]:
    before = json.loads(ANSWERS.read_text())
    data_dir = folder / "data"
    assert run("restore", BACKUP, "--data-dir", data_dir, **KEYS).code == 0
    with mailbox() as box:
        code, said, errors = ended_file(CHILD, data_dir, box.port, "".join(before["key"]), seconds=240)
        assert code == 0, errors
        yield Restored(before, **json.loads(said), mail=[(mail["To"], mail["Message-ID"]) for mail in box.messages])


def differences(before: Any, now: Any, place: str) -> list[str]:
    """Where an answer is not what it was; releases may add members to objects and word sentences anew."""
    if isinstance(before, dict) and isinstance(now, dict):
        missing = object()
        return [
            line
            for name in before.keys() - WORDED
            for line in differences(before[name], now.get(name, missing), f"{place}.{name}")
        ]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return [
            line for n, pair in enumerate(zip(before, now, strict=True)) for line in differences(*pair, f"{place}[{n}]")
        ]
    return [] if before == now else [f"{place}: {before!r} is now {now!r}"]


def test_it_answers_what_the_earlier_release_answered(restored: Restored) -> None:
    expected = {name: answer for name, answer in restored.before.items() if name not in OF_BEFORE}
    assert expected.keys() == restored.held.keys()
    assert not [line for name, answer in expected.items() for line in differences(answer, restored.held[name], name)]


def test_the_backup_has_messages_in_every_state(restored: Restored) -> None:
    states = Counter({state: count for _, state, count in restored.before["ledger"]})
    assert states.keys() == {"claimed", "retry", "sent", "failed", "suppressed", "skipped"}
    assert {state for state, _, _ in restored.before["messages"]} == {
        *("pending", "claimed", "sent", "failed", "suppressed")
    }
    assert {state for _, state, *_ in restored.before["firings"]} == {"delayed", "asking", "sending", "done", "filed"}


def test_what_was_half_sent_goes_out_exactly_once(restored: Restored) -> None:
    arrived = [tuple(mail) for mail in restored.before["arrived"]]
    assert set(Counter([*arrived, *restored.mail]).values()) == {1}
    half = {who: outcome for who, (outcome, _) in restored.outcomes(HALF).items()}
    expected = {f"P{n:03}": "sent" for n in range(24)}
    expected |= {"P003": "failed", "P012": "failed", "P011": "failed", "P010": "skipped"}
    expected |= {"P009": "suppressed", "P018": "suppressed", "P023": "suppressed"}
    assert half == expected
    mailed = Counter(to.partition("@")[0].lstrip("laterp") for to, _ in [*arrived, *restored.mail])
    dutch = [f"{n:03}" for n in range(24)]
    assert {n: mailed[n] for n in dutch} == {n: int(half[f"P{n}"] == "sent") for n in dutch}
    assert restored.ended["campaigns"] == {"1": "successful", "2": "successful", "3": "successful"}


def test_firings_end_as_they_would_have_and_each_message_leaves_once(restored: Restored) -> None:
    found = {(series, who): (outcome, reason) for series, who, outcome, reason in restored.ended["firings"]}
    assert {who for (series, who), (outcome, _) in found.items() if (series, outcome) == (4, "sent")} == {
        *("P023", *(f"P{n:03}" for n in range(40, 48)), *(f"P{n:03}" for n in range(52, 58)))
    }
    assert found[5, "P058"] == ("sent", "")
    assert {found[6, who] for who in ("P058", "P059")} == {("excluded", "gateway: connection refused")}
    assert found[7, "P059"] == ("sent", ""), "quiet hours have ended"
    later = restored.outcomes(LATER)
    both = Counter(to for to, _ in restored.mail)
    for who in ("P052", "P053", "P054", "P055", "P057"):
        assert both[f"p{who[1:]}@example.com"] == 1 + (later[who][0] == "sent"), who
    assert both["later044@example.com"] == 1 + (later["P044"][0] == "sent")
    assert {who for who, (outcome, _) in restored.outcomes(LATER, SMS).items() if outcome == "sent"}
