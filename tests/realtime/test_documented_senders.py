"""The examples of docs/events-in.md are run as they stand, but for the tenant's number."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from senders import Sender, event, stored

from rapport.access.scope import Scope

PAGE = (Path(__file__).parents[2] / "docs" / "events-in.md").read_text()


@pytest.fixture(scope="module")
def sender(base_url: str, scope: Scope) -> Sender:
    return Sender(base_url, scope)


def blocks(language: str, word: str) -> str:
    """The one code block of a language that holds a word."""
    found = [block for block in re.findall(rf"```{language}\n(.*?)```", PAGE, re.S) if word in block]
    assert len(found) == 1, (language, word)
    return found[0]


def shell(sender: Sender, code: str, key: str = "") -> str:
    code = code.replace("3001", str(sender.scope.tenant_id))
    given = {"BASE": str(sender.client.base_url).rstrip("/"), "TOKEN": sender.secret, "ADMIN": key}
    done = subprocess.run(["bash", "-ec", code], env={"PATH": "/usr/bin:/bin"} | given, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_the_server_s_examples(sender: Sender, scope: Scope) -> None:
    answer = shell(sender, blocks("sh", "newsletter_signup"))
    assert '"status":"success"' in answer
    assert '"status":"success"' in shell(sender, blocks("sh", "openssl"))
    rows = stored(scope, customer_id="Q1001")
    assert [row["event"] for row in rows] == ["newsletter_signup", "login"]
    assert rows[0]["parameters"] == {"topic": "offers", "opt_in": True}


def test_the_signature_in_python(sender: Sender, scope: Scope) -> None:
    code = blocks("python", "hmac")
    given = f"base, token, event = {str(sender.client.base_url).rstrip('/')!r}, {sender.secret!r}, "
    given += repr(event(scope, customer="Pythonic"))
    done = subprocess.run([sys.executable, "-c", f"{given}\n{code}"], capture_output=True, text=True, timeout=30)
    assert "success" in done.stdout, done.stderr
    assert len(stored(scope, customer_id="Pythonic")) == 1


def test_tokens_and_declarations(sender: Sender, scope: Scope) -> None:
    from rapport.access import keys

    _, key = keys.create_key(scope, "docs", "docs@example.com", "Admin")
    assert sender.secret in shell(sender, blocks("sh", "reveal=true"), key)
    assert '"declared":true' in shell(sender, blocks("sh", '"name": "deposit"'), key)
