"""What an installation is made of, and what is known of it."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

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


FAULT = {
    "id": "GHSA-test",
    "aliases": ["CVE-2026-1"],
    "summary": "a fault",
    "modified": "2026-01-01T00:00:00Z",
    "published": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "h11"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.9"}]}],
        }
    ],
}


class Advisories(BaseHTTPRequestHandler):
    """A database that knows one fault of one package, asked and answering as OSV is."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = {"vulns": [FAULT]} if asked["package"]["name"] == "h11" else {}
        body = json.dumps(known).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def ended(*command: str | Path, **given: str) -> tuple[int, str]:
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ | given)
    return run.returncode, run.stdout + run.stderr


def test_a_known_vulnerability_fails_the_audit(tmp_path: Path) -> None:
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    (tmp_path / "requirements.lock").write_text("h11==0.16.0\nidna==3.10\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        database = f"http://127.0.0.1:{server.server_port}/v1/query"
        audit = tmp_path / ".ci" / "audit"
        code, told = ended(audit, sys.executable, RAPPORT_ADVISORIES=database, NO_PROXY="127.0.0.1")
        server.shutdown()
    assert (code, "h11 0.16.0 has CVE-2026-1, GHSA-test; mended in 9.9" in told) == (1, True), told
    assert "2 dependencies looked up" in told


def test_it_is_only_told_or_accepted_with_a_reason(tmp_path: Path) -> None:
    answer, accepted = tmp_path / "answer", tmp_path / "accepted"
    fault = {"id": "CVE-2026-1", "aliases": ["GHSA-test"], "fix_versions": []}
    answer.write_text(json.dumps({"dependencies": [{"name": "h11", "version": "0.16.0", "vulns": [fault]}]}))

    def advisories(mode: str) -> tuple[int, str]:
        return ended(sys.executable, ROOT / ".ci" / "advisories.py", answer, accepted, mode)

    code, told = advisories("--tell")
    assert (code, "MEND OR ACCEPT" in told) == (0, True)
    accepted.write_text("GHSA-test only servers of another kind\nCVE-2020-1 gone\n")
    code, told = advisories("")
    assert (code, "accepted: only servers of another kind" in told) == (0, True)
    assert "CVE-2020-1, which is not found any more" in told
    accepted.write_text("CVE-2026-1\n")
    assert advisories("")[0] == 1


def test_without_a_database_of_advisories_the_audit_says_that_it_was_skipped() -> None:
    closed = dict.fromkeys(("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    command = [ROOT / ".ci" / "audit", sys.executable]
    ended = subprocess.run(command, capture_output=True, text=True, env=os.environ | closed)
    assert ended.returncode == 0
    assert "skipped" in ended.stderr and "not looked up" in ended.stderr
