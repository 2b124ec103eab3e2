"""kill -9 when messages are stored for people and nothing else knows it yet: everybody has the message once."""

import json
import signal
from pathlib import Path

import pytest
from stored_messages_killed import PEOPLE, SETTINGS

from loaded_program import ended_file

SCRIPT = Path(__file__).parent / "stored_messages_killed.py"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", SETTINGS)
def test_a_run_killed_in_between_reaches_everybody_once(folder: Path, kind: str) -> None:
    for parts in (2, 0):
        code, out, errors = ended_file(SCRIPT, folder, kind, parts, seconds=60)
        assert code == (-signal.SIGKILL if parts else 0), errors[-3000:]
    state, sent, stored = json.loads(out.splitlines()[-1])
    assert (state, sent) == ("successful", ["sent"] * PEOPLE)
    assert stored == sorted(f"c{number}" for number in range(PEOPLE))
