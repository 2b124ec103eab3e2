"""kill -9 when messages are in the inboxes and nothing else knows it yet: everybody has the message once."""

import json
import signal
from pathlib import Path

import pytest
from inbox_killed import PEOPLE

from loaded_program import ended_file

SCRIPT = Path(__file__).parent / "inbox_killed.py"


@pytest.mark.timeout(180)
def test_a_run_killed_in_between_reaches_every_inbox_once(folder: Path) -> None:
    for parts in (2, 0):
        code, out, errors = ended_file(SCRIPT, folder, parts, seconds=60)
        assert code == (-signal.SIGKILL if parts else 0), errors[-3000:]
    state, sent, stored = json.loads(out.splitlines()[-1])
    assert (state, sent) == ("successful", ["sent"] * PEOPLE)
    assert stored == sorted(f"c{number}" for number in range(PEOPLE))
