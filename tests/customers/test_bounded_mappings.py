"""Whatever stands in a mapping, it is refused in a sentence or read in bounded time and memory."""

import os
from pathlib import Path

import httpx
import pytest

from rapport.customers.importing.mapping import MAX_CHARACTERS, MAX_SKIPPED, read_mapping
from rapport.errors import Invalid

UNREADABLE = "The mapping is not a readable YAML file: line {} cannot be read ({})."
HALF = "a text must not hold half of a surrogate pair"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("skip_lines: 3000000", f"The mapping's skip_lines: must be at most {MAX_SKIPPED}."),
        ("skip_lines: " + "9" * 5_000, "The mapping's skip_lines: must be a whole number."),
        ("columns: " + "[" * 3_000, "The mapping is nested too deeply."),
        ("columns: " + "{a: " * 3_000, "The mapping is nested too deeply."),
        ("- " * 3_000, "The mapping is nested too deeply."),
        ('header: no\ncolumns: {"\\ud83d": CITY}', UNREADABLE.format(2, HALF)),
        ('constants: {CITY: "\\ud83d"}', UNREADABLE.format(1, HALF)),
        ('constants: {CITY: "a\\0"}', UNREADABLE.format(1, "a text must not contain a null character")),
        ("null: 3", UNREADABLE.format(1, "a name must be a text")),
        ("#" * (MAX_CHARACTERS + 1), f"The mapping is longer than {MAX_CHARACTERS} characters."),
    ],
)
def test_a_mapping_beyond_bounds_is_refused(text: str, told: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_mapping(text)
    assert refused.value.message == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            b"- a\n- b\n",
            "The mapping must be names with values, such as `columns:` with columns under it, but is a list.",
        ),
        (b"columns", "The mapping must be names with values, such as `columns:` with columns under it, but is a text."),
        (b"columns: [A, B]", "The mapping's columns: must be an object."),
        (b"values:\n  Shop: x\n", "The mapping's values.Shop: must be an object."),
        (b"columns: \xff", "The mapping is not a readable YAML file."),
    ],
)
def test_a_file_without_its_mapping_is_named_with_the_place(tmp_path: Path, text: bytes, told: str) -> None:
    file = tmp_path / "shop.yaml"
    file.write_bytes(text)
    with pytest.raises(Invalid) as refused:
        read_mapping(file)
    assert refused.value.message == f"shop.yaml: {told}"


@pytest.mark.parametrize("value", ["!!timestamp 2026-13-45", "!!int x", "!!float x", "!!int " + "9" * 5_000])
def test_a_mapping_has_texts_only(value: str) -> None:
    with pytest.raises(Invalid, match="line 1 cannot be read"):
        read_mapping(f"constants: {{CITY: {value}}}")


def test_an_import_with_such_a_mapping_is_a_bad_request(api: httpx.Client) -> None:
    for mapping in ("skip_lines: 3000000", "columns: " + "[" * 3_000, 'constants: {CITY: "\\ud83d"}'):
        files = {"file": ("customers.csv", b"Customer_ID,Registration_Date\nC1,2025-01-02\n")}
        answer = api.post("/manage/v1/imports", data={"kind": "customers", "mapping": mapping}, files=files)
        assert answer.status_code == 400, answer.text
        assert answer.json()["detail"].startswith("The mapping")


def test_a_mapping_is_a_file_and_no_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, fault in ((tmp_path / "pipe", "is not a regular file"), (tmp_path / "gone.yaml", "does not exist")):
        with pytest.raises(Invalid) as refused:
            read_mapping(path)
        assert refused.value.message == f"The file {path.name!r} {fault}."
