"""rapport demo as a newcomer's script runs it."""

import shutil
import tempfile
from pathlib import Path

import pytest
from private_paths import open_to_others
from rapport_command import run

from rapport.commands.demo import _tell
from rapport.demo.run import DemoResult
from rapport.settings import Settings


@pytest.mark.timeout(180)
def test_demo_as_json_without_serving() -> None:
    folder = Path(tempfile.mkdtemp(prefix="rapport-demo-test-"))
    folder.chmod(0o755)
    words = ("demo", "--customers", 100, "--days", 3, "--seed", 4, "--no-serve", "--json")
    try:
        told = run(*words, "--data-dir", folder / "data").json
        assert list(open_to_others(folder / "data")) == []
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    keys = {"tenant_id", "data_dir", "admin_key", "integrations_key", "transactional_key", "last_data_date"}
    assert keys <= set(told)
    assert told["campaigns"] > 5
    assert told["admin_key"].startswith("rap_") and len({told[key] for key in keys}) == len(keys)


def test_a_demo_tells_where_its_functions_are(capsys: pytest.CaptureFixture[str]) -> None:
    names = (
        "data_dir",
        "admin_key",
        "integrations_key",
        "transactional_key",
        "last_data_date",
        "server_token",
        "brand_id",
        "sports_brand_id",
    )
    numbers = ("tenant_id", "customers", "campaigns", "messages", "events", "firings", "trigger_id", "seconds")
    result = DemoResult(**dict.fromkeys(names, "x"), **dict.fromkeys(numbers, 1), shoppers=["x"])
    _tell(result, Settings(port=8700), as_json=False)
    assert "http://127.0.0.1:8700/docs\n" in capsys.readouterr().out
