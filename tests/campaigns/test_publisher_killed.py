"""kill -9 while promotions decide about the customers of a run: nobody is lost, and nobody decided about twice."""

import json
import signal
from pathlib import Path

import pytest
from publisher_killed import DEPOSITS, LEAST

from loaded_program import ended_file

SCRIPT = Path(__file__).parent / "publisher_killed.py"
# Batches are of 25: rewards stand without their approvals, then a batch whose end is not noted, then rewards again.
POINTS = [("campaign_rewards", 2), ("campaign_clearances", 1), ("campaign_rewards", 1)]


@pytest.mark.timeout(180)
def test_a_publication_killed_in_between_decides_about_everybody_once(folder: Path) -> None:
    for table, number in [*POINTS, ("", 0)]:
        code, out, errors = ended_file(SCRIPT, folder, table, number, seconds=60)
        assert code == (-signal.SIGKILL if number else 0), errors[-3000:]
    rewarded, verdicts, to_publish = json.loads(out.splitlines()[-1])
    assert sorted(who for (who,) in rewarded) == sorted(who for who, deposit in DEPOSITS.items() if deposit >= LEAST)
    assert sorted(map(tuple, verdicts)) == sorted((who, int(deposit >= LEAST)) for who, deposit in DEPOSITS.items())
    assert to_publish is False
