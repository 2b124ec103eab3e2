"""Where erasures and opt-outs are kept that must outlive the data."""

import os
from pathlib import Path

import pytest

from rapport.settings import Settings
from rapport.stores.checks import folder_checks


def outcome(data: Path, kept: Path) -> tuple[str, str]:
    found = next(check for check in folder_checks(data, kept, None) if check.name == "erasures and opt-outs")
    return found.outcome, found.detail


def test_where_no_folder_can_be_made_beside_the_data_it_is_inside(tmp_path: Path) -> None:
    """As for a service whose only folder is that of its data; the doctor says what is lost with it."""
    data = tmp_path / "data"
    data.mkdir()
    beside = tmp_path / "data.kept"
    assert Settings(data_dir=data).kept_folder == beside
    assert outcome(data, beside) == ("ok", str(beside))
    state, told = outcome(data, data / "kept")
    assert state == "warning" and "RAPPORT_KEPT_DIR" in told
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o555)
    try:
        assert Settings(data_dir=data).kept_folder == data / "kept"
        assert outcome(data, beside)[0] == "failed"
    finally:
        tmp_path.chmod(0o755)
