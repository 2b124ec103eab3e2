"""A command that did not do what it was asked for ends with an exit code that says so."""

import json
from pathlib import Path

from rapport_command import run

HEAD = "customer_id,REGISTRATION_DATE\n"


def test_an_import_that_loads_no_row_is_no_success(folder: Path) -> None:
    data_dir, file = folder / "data", folder / "customers.csv"
    assert run("tenant", "create", "A", "--data-dir", data_dir).code == 0
    words = ("import", "customers", file, "--tenant", "A", "--allow-rejects", "--data-dir", data_dir)
    for rows, code in (("C1,no day\nC2,nor this\n", 1), ("C1,2026-01-01\nC2,no day\n", 0), ("C1,2026-01-01\n", 0)):
        file.write_text(HEAD + rows)
        tried = run(*words, "--dry-run")
        assert tried.code == code and ("2 rows were refused, and no row would be loaded." in tried.out) == bool(code)
        ended = run(*words)
        assert ended.code == code and ("0 rows loaded, 2 rejected" in ended.out) == bool(code)
    assert run(*words).code == 0, "a file that was loaded before is there"


def test_resume_says_that_the_setting_holds_what_goes_out(folder: Path) -> None:
    words = ("resume", "--yes", "--data-dir", folder / "data")
    held = run(*words, RAPPORT_OUTBOUND="off")
    assert held.line.startswith("Sending is still held in this process by RAPPORT_OUTBOUND=off.")
    as_json = run(*words, "--json", RAPPORT_OUTBOUND="off")
    assert (as_json.code, json.loads(as_json.out)) == (1, {"held": True})
    assert run(*words).out == "What was held is being sent.\n"
