"""A channel without a host uses the server's own mail settings."""

import pytest

from rapport.channels.email import effective
from rapport.channels.settings import EmailSettings
from rapport.errors import Invalid
from rapport.settings import Settings


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.internal", ("mail.internal", 25, "none", "", "")),
        ("smtp://u:p%40ss@mail.internal:587?starttls=true", ("mail.internal", 587, "starttls", "u", "p@ss")),
        ("smtps://mail.internal", ("mail.internal", 465, "tls", "", "")),
    ],
)
def test_the_servers_own_settings(url: str, expected: tuple[str, int, str, str, str]) -> None:
    own = effective(EmailSettings(connections=3), Settings(smtp_url=url, mail_from="a@b.example"))
    assert (own.host, own.port, own.security, own.username, own.password) == expected
    assert (own.from_address, own.connections) == ("a@b.example", 3)


@pytest.mark.parametrize("url", ["http://mail.internal", "mail.internal:25", ""])
def test_a_wrong_url_is_told(url: str) -> None:
    with pytest.raises(Invalid, match="RAPPORT_SMTP_URL"):
        effective(EmailSettings(), Settings(smtp_url=url))
