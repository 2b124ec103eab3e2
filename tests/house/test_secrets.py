"""No file of the repository holds a key, a token or a password that works somewhere."""

import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What is unmistakable only: a pattern that cries wolf is switched off.
PATTERNS = {
    "private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    "key of a cloud": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}\b",
    "token of a code host": r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,}|glpat-[A-Za-z0-9_-]{20})",
    "token of a registry": r"\b(?:npm_[A-Za-z0-9]{36}|py" r"pi-[A-Za-z0-9_-]{50,})",
    "token of a service": r"\bxox[abprs]-[A-Za-z0-9-]{20,}|\b[rs]k_live_[A-Za-z0-9]{20,}|\bSG\.[\w-]{22}\.[\w-]{43}",
    "key of Rapport": r"\b(?:rap|rt|rv)_[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])|\bwhsec_[A-Za-z0-9+/]{43}=",
}
FEWEST_DIFFERENT = 16  # characters of something that was drawn by chance; examples repeat a few


def secrets_in(text: str) -> Iterator[str]:
    """The kinds of secrets that a text holds."""
    for kind, pattern in PATTERNS.items():
        for match in re.finditer(pattern, text):
            if kind == "private key" or len(set(match[0])) >= FEWEST_DIFFERENT:
                yield kind


def test_no_tracked_file_holds_a_secret() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True)
    if listed.returncode:
        pytest.skip("this is no clone")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert len(files) > 100
    texts = {path: path.read_text(errors="replace") for path in files if path.is_file()}
    assert {str(path): list(kinds) for path, text in texts.items() if (kinds := set(secrets_in(text)))} == {}


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("private key", "-----BEGIN " + "EC PRIVATE KEY-----"),
        ("key of Rapport", f"rap_{secrets.token_urlsafe(32)}"),
        ("token of a code host", "ghp_" + (secrets.token_hex(10) + "AbCdEfGhIjKlMnOpQrStUvWx")[:36]),
    ],
    ids=["private key", "key of Rapport", "token of a code host"],  # processes side by side collect the same names
)
def test_a_secret_is_found(kind: str, made: str) -> None:
    assert list(secrets_in(f"key = '{made}'")) == [kind]
    assert not list(secrets_in("rap_" + "x" * 43))
