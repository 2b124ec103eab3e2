"""What is named as a file and is none is refused in one sentence that says what it is not."""

from pathlib import Path

import pytest
from import_world import tenant

from rapport.customers.importing import imports
from rapport.errors import Invalid
from rapport.stores import Stores


@pytest.mark.parametrize(
    ("name", "sentence"), [("gone.csv", "'gone.csv' does not exist"), ("folder", "'folder' is not a regular file")]
)
def test_what_is_no_file_is_refused(stores: Stores, tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(Invalid, match=f"^The file {sentence}\\.$"):
        imports.import_file(tenant(stores), "customers", tmp_path / name)
