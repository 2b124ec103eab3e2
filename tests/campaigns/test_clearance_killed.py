"""kill -9 after every statement of a decision on clearance: the end is that of an undisturbed one."""

import json
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clearance_killed import CALLS, CHANNELS, CONTROL, CUSTOMERS
from clearance_run import expected

from loaded_program import ended_file

SCRIPT = Path(__file__).parent / "clearance_killed.py"
# What was just written when the process dies, among other things: the reasons, the recipients, the new state.
POINTS = {"INSERT INTO campaign_outcomes", "DELETE FROM campaign_recipients", "a transaction"}
FIRST, MOST = 1, 12


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="rapport-clearance-"))
    made.chmod(0o755)
    yield made / "data"
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.timeout(180)
def test_a_decision_killed_anywhere_ends_like_a_calm_one(folder: Path) -> None:
    killed = set()
    for point in range(FIRST, MOST):
        code, out, errors = ended_file(SCRIPT, folder, point, seconds=60)
        if code != -signal.SIGKILL:
            break
        killed.add(out.splitlines()[-1].removeprefix("killed after "))
    assert code == 0, errors[-3000:]
    assert killed >= POINTS
    result: dict[str, Any] = json.loads(out.splitlines()[-1])
    for name in ("left", "out", "channels"):
        result[name] = [tuple(row) for row in result[name]]
    assert result == expected(CUSTOMERS, CALLS, len(CONTROL), CHANNELS)
    assert 0 < len(result["left"]) < len(result["out"])
