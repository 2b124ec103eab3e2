"""A path that the user of Rapport may not pass, read or write is one sentence that names it."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rapport.access.scope import Scope
from rapport.customers.formats.files import opened
from rapport.customers.importing.mapping import parse_mapping, read_mapping
from rapport.errors import RapportError
from rapport.stores import Stores
from rapport.stores.backups import backup
from rapport.stores.backups.archive import open_backup
from rapport.stores.checks import folder_checks
from rapport.stores.local import disk

NOBODY = 65534
MAY_NOT = "may not be {} by the user that runs Rapport."


@contextmanager
def an_ordinary_user() -> Iterator[None]:
    """Files are those of another account for this thread, of which nothing else of the process knows."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None)
    libc.setfsuid(NOBODY)
    try:
        yield
    finally:
        libc.setfsuid(0)


@pytest.fixture(scope="module")
def closed(folder: Path) -> Iterator[Path]:
    """A folder with files that only root, or nobody, may look into."""
    made = folder / "closed"
    made.mkdir()
    for name in ("b.rapport", "c.csv", "m.yaml"):
        (made / name).write_text("x")
    made.chmod(0)
    yield made
    made.chmod(0o700)


def test_what_may_not_be_passed(closed: Path, scope: Scope, stores: Stores) -> None:
    def write(path: Path) -> None:
        backup.write(stores.records, stores.warehouse, path, {}, backup.Protection())

    def load(path: Path) -> None:
        with opened(scope.warehouse, path, parse_mapping(None)):
            pytest.fail("it may not be read")

    reading = ((load, "c.csv"), (read_mapping, "m.yaml"), (lambda path: open_backup(path, None), "b.rapport"))
    for use, do, name in [("written", write, "new.rapport"), *(("read", *one) for one in reading)]:
        with an_ordinary_user(), pytest.raises(RapportError) as refused:
            do(closed / name)
        assert refused.value.message == f"{closed / name} {MAY_NOT.format(use)}"


def test_what_may_be_passed_but_not_used(folder: Path, scope: Scope, stores: Stores) -> None:
    shut = folder / "shut"
    shut.mkdir()
    file = shut / "c.csv"
    file.write_text("Customer_ID\nC1\n")
    file.chmod(0)
    shut.chmod(0o555)
    with an_ordinary_user(), pytest.raises(RapportError) as unread, opened(scope.warehouse, file, parse_mapping(None)):
        pytest.fail("it may not be read")
    assert unread.value.message == f"{file} {MAY_NOT.format('read')}"
    with an_ordinary_user(), pytest.raises(RapportError) as unwritten:
        backup.write(stores.records, stores.warehouse, shut / "new", {}, backup.Protection())
    assert unwritten.value.message == f"{shut / 'new'} {MAY_NOT.format('written')}"
    shut.chmod(0o755)
    with pytest.raises(RapportError, match=r"cannot be written: File name too long\.$"):
        backup.write(stores.records, stores.warehouse, shut / ("n" * 300), {}, backup.Protection())


def test_a_closed_place_of_what_outlives_the_data_is_told_as_that(closed: Path, folder: Path) -> None:
    data_dir = folder / "data"
    data_dir.mkdir()
    with an_ordinary_user():
        told = {one.name: one for one in folder_checks(data_dir, closed / "kept", None)}["erasures and opt-outs"]
        assert disk.existing(closed / "kept") == closed
    assert str(closed / "kept") in told.detail
