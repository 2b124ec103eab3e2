"""kill -9 while a campaign leaves at customers' own times: everybody gets it, at his time, and nobody a second message
but those in flight, under the same id.
"""

import json
import signal
from collections import Counter
from pathlib import Path

import pytest
from campaign_mail import mailbox
from own_times_killed import PEOPLE

from loaded_program import ended_file

SCRIPT = Path(__file__).parent / "own_times_killed.py"
BATCH = 4


@pytest.mark.timeout(180)
def test_rounds_killed_in_between_reach_everybody_once(folder: Path) -> None:
    with mailbox() as box:
        for writes in (12, 0):
            code, out, errors = ended_file(SCRIPT, folder, box.port, writes, seconds=60)
            assert code == (-signal.SIGKILL if writes else 0), errors[-3000:]
    assert json.loads(out.splitlines()[-1]) == ["successful", ["sent"] * PEOPLE]
    ids = Counter(mail["Message-ID"] for mail in box.messages)
    assert len(ids) == len(box.to) == PEOPLE
    assert sum(ids.values()) - PEOPLE <= BATCH, "what was in flight"
    zones = [int(str(mail["To"]).partition("@")[0].removeprefix("c")) % 3 for mail in box.messages]
    assert zones == sorted(zones), "nobody before the time of his zone"
