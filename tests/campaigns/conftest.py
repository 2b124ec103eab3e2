"""A folder for programs that are killed, and the neighbours whose stand-ins they talk to."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

for neighbour in ("channels", "promotions", "realtime"):
    sys.path.append(str(Path(__file__).parents[1] / neighbour))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a data folder is made, which both engines may use."""
    made = Path(tempfile.mkdtemp(prefix="rapport-killed-"))
    made.chmod(0o755)
    yield made / "data"
    shutil.rmtree(made, ignore_errors=True)
