"""What an installation is made of, and what is known of it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytest.importorskip("cyclonedx", reason="make install brings the tools of the lock")


def test_the_bill_of_materials_names_what_is_pinned() -> None:
    told = subprocess.run([sys.executable, ROOT / ".ci" / "sbom.py"], capture_output=True, text=True, check=True)
    bill = json.loads(told.stdout)
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "rapport")
    parts = {part["name"]: part["version"] for part in bill["components"]}
    pinned = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert {"fastapi", "chdb", "sqlalchemy", "cryptography"} <= parts.keys() <= pinned.keys()
    assert not {"pytest", "mypy", "ruff"} & parts.keys(), "what only developers need"


def test_without_a_database_of_advisories_the_audit_says_that_it_was_skipped() -> None:
    closed = dict.fromkeys(("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    command = [ROOT / ".ci" / "audit", sys.executable]
    ended = subprocess.run(command, capture_output=True, text=True, env=os.environ | closed)
    assert ended.returncode == 0
    assert "skipped" in ended.stderr and "not looked up" in ended.stderr
