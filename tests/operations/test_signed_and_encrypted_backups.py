"""Backups with a key: signed, and encrypted so that a change at any place is noticed."""

import io
from dataclasses import replace
from pathlib import Path

import backup_file
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from rapport_command import run

from rapport.access.scope import Scope
from rapport.errors import Invalid
from rapport.settings import Settings
from rapport.stores import Stores
from rapport.stores.backups.archive import Signature, open_backup
from rapport.stores.backups.backup_key import BackupKey, backup_key
from rapport.stores.backups.encryption import CHUNK_BYTES, HEADER_BYTES, TAG_BYTES, DecryptingReader, EncryptingWriter
from rapport.stores.backups.restore import verify

SECRET, OTHER_SECRET = "k" * 44, "o" * 44
KEY, OTHER_KEY = BackupKey(SECRET.encode()), BackupKey(OTHER_SECRET.encode())
SEALED = CHUNK_BYTES + TAG_BYTES
CHANGED = "is damaged, cut off or was changed|another key than|is not a Rapport backup"
NEAR_A_CHUNK = st.builds(
    lambda chunks, more: max(0, chunks * CHUNK_BYTES + more), st.integers(0, 3), st.integers(-2, 2)
)


def _encrypted(content: bytes, pieces: int = 1) -> bytes:
    file = io.BytesIO()
    writer = EncryptingWriter(file, KEY)
    size = -(-len(content) // pieces) or 1
    for place in range(0, len(content), size):
        writer.write(content[place : place + size])
    writer.finish()
    return file.getvalue()


def _decrypted(content: bytes, key: BackupKey | None = KEY) -> bytes:
    return io.BufferedReader(DecryptingReader(io.BytesIO(content), key)).read()


@given(size=NEAR_A_CHUNK, pieces=st.integers(1, 9))
@settings(deadline=None, max_examples=40)
def test_what_was_encrypted_is_read_again(size: int, pieces: int) -> None:
    content = (b"customers" * (size // 9 + 1))[:size]
    encrypted = _encrypted(content, pieces)
    assert _decrypted(encrypted) == content
    assert b"customers" not in encrypted
    assert len(encrypted) == HEADER_BYTES + size + TAG_BYTES * max(1, -(-size // CHUNK_BYTES))


LONG = _encrypted(b"customers" * 20_000)


@given(place=st.integers(0, len(LONG) - 1), bit=st.integers(0, 7))
@settings(deadline=None, max_examples=200)
def test_a_bit_that_is_flipped_anywhere_is_noticed(place: int, bit: int) -> None:
    changed = LONG[:place] + bytes([LONG[place] ^ 1 << bit]) + LONG[place + 1 :]
    if place < HEADER_BYTES - 40:
        return  # the mark: such a file is no encrypted one, and no other either
    with pytest.raises(Invalid, match=CHANGED):
        _decrypted(changed)


@given(end=st.one_of(st.integers(0, len(LONG) - 1), st.sampled_from([HEADER_BYTES + n * SEALED for n in range(3)])))
@settings(deadline=None, max_examples=60)
def test_an_end_that_is_cut_off_is_noticed(end: int) -> None:
    with pytest.raises(Invalid, match=CHANGED):
        _decrypted(LONG[:end])


def test_chunks_cannot_be_moved_repeated_added_or_left_out() -> None:
    header = LONG[:HEADER_BYTES]
    first, second, last = (LONG[HEADER_BYTES + n * SEALED : HEADER_BYTES + (n + 1) * SEALED] for n in range(3))
    other = _encrypted(b"customers" * 20_000)
    assert _decrypted(header + first + second + last) == b"customers" * 20_000
    for content in (
        header + second + first + last,
        header + first + last,
        header + second + last,
        header + first + first + second + last,
        header + first + second + last + last,
        header + first + other[HEADER_BYTES + SEALED :],
        other[:HEADER_BYTES] + first + second + last,
        LONG + b"\0",
    ):
        with pytest.raises(Invalid, match=CHANGED):
            _decrypted(content)


@pytest.fixture(scope="module")
def written(stores: Stores, scope: Scope, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Backups by kind: without a key, signed, encrypted."""
    scope.warehouse.execute("INSERT INTO products (product_id) SELECT toString(number) FROM numbers(100)")
    folder = tmp_path_factory.mktemp("written")
    with_key = replace(stores, settings=stores.settings.model_copy(update={"backup_key": SecretStr(SECRET)}))
    stores.backup(folder / "unsigned")
    with_key.backup(folder / "signed")
    with_key.backup(folder / "encrypted", encrypted=True)
    return {path.name: path for path in folder.iterdir()}


def test_a_signature_tells_who_wrote_a_backup(written: dict[str, Path], tmp_path: Path) -> None:
    for name, key, signature in (
        ("unsigned", None, Signature.MISSING),
        ("unsigned", KEY, Signature.MISSING),
        ("signed", None, Signature.NOT_CHECKED),
        ("signed", KEY, Signature.VALID),
        ("signed", OTHER_KEY, Signature.OTHER_KEY),
        ("encrypted", KEY, Signature.VALID),
    ):
        backup = open_backup(written[name], key)
        assert (verify(written[name], key).signature, backup.signature) == (signature, signature)
        if key is None or signature is Signature.VALID:
            backup.require_signed()
        else:
            with pytest.raises(Invalid, match="use --unsigned"):
                backup.require_signed()
    parts, manifest = backup_file.parts_of(written["signed"])
    name = next(name for name in parts if name.endswith("/products.sql"))
    parts[name] += b" "
    with pytest.raises(Invalid, match="was changed after it was signed"):
        open_backup(backup_file.put_together(tmp_path / "changed", parts, manifest), KEY)


def test_an_encrypted_backup_needs_its_key(written: dict[str, Path], tmp_path: Path) -> None:
    content = written["encrypted"].read_bytes()
    assert b"manifest.json" not in content
    with pytest.raises(Invalid, match=r"encrypted: set RAPPORT_BACKUP_KEY_FILE"):
        open_backup(written["encrypted"], None)
    with pytest.raises(Invalid, match="encrypted with another key"):
        open_backup(written["encrypted"], OTHER_KEY)


@given(part=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_change_anywhere_in_an_encrypted_backup_is_noticed(
    written: dict[str, Path], tmp_path: Path, part: float, bit: int, cut: bool
) -> None:
    content = written["encrypted"].read_bytes()
    place = int(part * len(content))
    changed = tmp_path / "changed"
    flipped = bytes([content[place] ^ 1 << bit])
    changed.write_bytes(content[:place] if cut else content[:place] + flipped + content[place + 1 :])
    with pytest.raises(Invalid, match=CHANGED):
        open_backup(changed, KEY)


def test_an_encrypted_backup_is_restored_and_an_unsigned_one_only_when_that_is_said(
    written: dict[str, Path], scope: Scope, folder: Path
) -> None:
    key = folder / "backup.key"
    key.write_text(f"{SECRET}\n")
    known = {"RAPPORT_BACKUP_KEY_FILE": str(key)}
    refused = run("restore", written["unsigned"], "--data-dir", folder / "no", **known)
    assert refused.line == "The backup is not signed with the key: use --unsigned to restore it anyway."
    restored = run("restore", written["encrypted"], "--json", "--data-dir", folder / "yes", **known).json
    assert restored["signature"] == "valid"
    again = folder / "again.rapport"
    assert run("backup", again, "--encrypt", "--data-dir", folder / "yes", **known).code == 0
    assert verify(again, KEY).tenants == verify(written["encrypted"], KEY).tenants
    assert run("backup", folder / "third", "--encrypt", "--data-dir", folder / "yes").line == (
        "encrypt needs a key: set RAPPORT_BACKUP_KEY_FILE for the server."
    )


def test_a_key_is_long_and_lies_outside_the_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name, content in (("data/key", SECRET), ("short", "k" * 31), ("key", SECRET)):
        (tmp_path / name).write_text(content)
    for given_settings, sentence in (
        ({"backup_key_file": data / "key"}, "RAPPORT_BACKUP_KEY_FILE must be outside the data folder"),
        ({"backup_key_file": tmp_path / "short"}, "RAPPORT_BACKUP_KEY_FILE must have at least 32 characters"),
        ({"backup_key_file": tmp_path / "none"}, "RAPPORT_BACKUP_KEY_FILE cannot be read: No such file"),
        ({"backup_key": SecretStr("k" * 31)}, "RAPPORT_BACKUP_KEY must have at least 32 characters"),
    ):
        with pytest.raises(Invalid, match=sentence):
            backup_key(Settings(data_dir=data, **given_settings))
    assert backup_key(Settings(data_dir=data)) is None
    by_file = backup_key(Settings(data_dir=data, backup_key_file=tmp_path / "key"))
    assert by_file == backup_key(Settings(data_dir=data, backup_key=SecretStr(SECRET))) == KEY
    assert SECRET not in repr(Settings(data_dir=data, backup_key=SecretStr(SECRET)))
    assert SECRET not in repr(by_file)
