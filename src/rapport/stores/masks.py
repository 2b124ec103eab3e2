"""Secrets as they are shown: masked, also inside of addresses; what comes back masked stands for what is stored."""

import re
from collections.abc import Iterator
from urllib.parse import unquote_plus, urlsplit

from rapport.errors import Invalid

MASK = "***"  # in an address
# Names of members of a query that hold secrets: tokens, keys, signatures, codes of Azure Functions.
SECRET_NAME = re.compile(
    r"token|secret|passw|pwd|credential|signature|authori[sz]ation|(?:api|access|shared|private)[_-]?key"
    r"|(?:^|[^a-z])(?:key|sig|code|auth|pass)(?![a-z])",
    re.IGNORECASE,
)
PLACE = "its scheme, host, port, path or user name"


def kept(name: str, mask: str, present: str | None, same_place: bool, place: str) -> str:
    """The present secret, in place of one that came back masked.

    It is kept only for the place that it was entered for: it is sent nowhere else. Raises Invalid naming the secret.
    """
    if present is None:
        raise Invalid(f"{name} must not be {mask}, which is how one that is kept is shown.")
    if not same_place:
        raise Invalid(f"{name} must be given again when {place} changes.")
    return present


def masked(url: str) -> str:
    """An address as it may be shown: without the password in it, nor values of its query that are secrets."""
    return "".join(MASK if name and part else part for name, part in _parts(url))


def unmasked(url: str, present: str | None, parameter: str) -> str:
    """An address as it is stored: secrets that came back masked are those of the present one. Raises Invalid."""
    before = {name: part for name, part in _parts(present) if name} if present else {}
    same_place = present is not None and _place(url) == _place(present)
    return "".join(
        kept(f"{name} in {parameter}", MASK, before.get(name), same_place, PLACE)
        if name and unquote_plus(part) == MASK
        else part
        for name, part in _parts(url)
    )


def _parts(url: str) -> Iterator[tuple[str, str]]:
    """The address in pieces; secret ones come with what they are called, by which each is found again."""
    login, start = _login(url), url.find("//") + 2
    if login:
        user = _user(login)
        yield "", url[:start] + user
        yield "The password", login[len(user) :]
    rest, mark, fragment = url[start + len(login) :].partition("#") if login else url.partition("#")
    path, question, query = rest.partition("?")
    yield "", path + question
    seen: dict[str, int] = {}
    for piece in re.split("([&;])", query):
        name, equals, value = piece.partition("=")
        yield "", name + equals
        known = unquote_plus(name)
        seen[known] = seen.get(known, 0) + 1
        nth = f" ({seen[known]})" if seen[known] > 1 else ""
        yield (f"{known}{nth}" if SECRET_NAME.search(known) else ""), value
    yield "", mark + fragment


def _login(url: str) -> str:
    """What stands before the @ of an address."""
    return urlsplit(url).netloc.rpartition("@")[0]


def _place(url: str) -> tuple[object, ...]:
    """Where an address leads, and as whom."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port, parts.path, _user(_login(url))


def _user(login: str) -> str:
    """The user name with its colon, empty for a login without one, which is a token."""
    user, colon, _ = login.partition(":")
    return user + colon if colon else ""
