"""Secrets as they are shown: masked, also inside of addresses; what comes back masked stands for what is stored."""

import re
from collections.abc import Iterator
from itertools import zip_longest
from urllib.parse import unquote_plus, urlsplit

from rapport.errors import Invalid

MASK = "***"  # in an address
# Names of members of a query that hold secrets: tokens, keys, signatures, codes of Azure Functions.
SECRET_NAME = re.compile(
    r"token|secret|passw|pwd|credential|signature|authori[sz]ation|(?:api|access|shared|private)[_-]?key"
    r"|(?:^|[^a-z])(?:key|sig|code|auth|pass)(?![a-z])",
    re.IGNORECASE,
)
# Segments of a path that name something: words (`events`, `send-mail`, `IncomingWebhook`), versions and small numbers.
# Any other may be a token, by which chat and automation services let in whoever knows the address.
WORD = r"(?:[a-z]{1,15}|[A-Z]{1,15}|[A-Z][a-z]{2,14}(?:[A-Z][a-z]{2,14})*|[a-z]{2,15}(?:[A-Z][a-z]{2,14})+)"
NAME = re.compile(rf"(?:{WORD}|v?[0-9]{{1,6}}|[a-z]{{1,10}}[0-9])(?:[-_.](?:{WORD}|v?[0-9]{{1,6}})){{0,4}}")
PLACE = "its scheme, host, port, path or user name"


def kept(name: str, mask: str, present: str | None, changed: str, *, same_place: bool) -> str:
    """The present secret, in place of one that came back masked.

    It is kept only for the place that it was entered for: it is sent nowhere else. Raises Invalid naming the secret.
    """
    if present is None:
        raise Invalid(f"{name} must not be {mask}, which stands for the stored value.")
    if not same_place:
        raise Invalid(f"{name} must be given again when {changed} changes.")
    return present


def masked(url: str) -> str:
    """An address as it may be shown: without the password in it, nor what may be a secret in its path and query."""
    return "".join(MASK if name and part else part for name, part in _parts(url))


def unmasked(url: str, present: str | None, parameter: str) -> str:
    """An address as it is stored: secrets that came back masked are those of the present one. Raises Invalid."""
    before = {name: part for name, part in _parts(present) if name} if present else {}
    same_place = present is not None and _place(url, present) == _place(present)
    return "".join(
        kept(f"{name} in {parameter}", MASK, before.get(name), PLACE, same_place=same_place)
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
    yield from _segments(path, 0 if login else 3)
    yield "", question
    seen: dict[str, int] = {}
    for piece in re.split("([&;])", query):
        name, equals, value = piece.partition("=")
        yield "", name + equals
        spelled = unquote_plus(name)
        seen[spelled] = seen.get(spelled, 0) + 1
        nth = f" ({seen[spelled]})" if seen[spelled] > 1 else ""
        yield (f"{spelled}{nth}" if SECRET_NAME.search(spelled) else ""), value
    yield "", mark + fragment


def _segments(path: str, leading: int) -> Iterator[tuple[str, str]]:
    """The pieces of a path; so many before the first of it are none (of `https://host`)."""
    for number, piece in enumerate(path.split("/")):
        yield "", "/" if number else ""
        is_name = number < max(leading, 1) or not piece or NAME.fullmatch(piece)
        yield ("" if is_name else f"Segment {number - max(leading, 1) + 1} of the path"), piece


def _login(url: str) -> str:
    """What stands before the @ of an address."""
    return urlsplit(url).netloc.rpartition("@")[0]


def _place(url: str, present: str = "") -> tuple[object, ...]:
    """Where an address leads, and as whom; what is masked in its path stands for what the present one has there."""
    parts = urlsplit(url)
    path = zip_longest(parts.path.split("/"), urlsplit(present).path.split("/"))
    filled = [before if piece is not None and unquote_plus(piece) == MASK else piece for piece, before in path]
    return (
        parts.scheme,
        parts.hostname,
        parts.port,
        [segment for segment in filled if segment is not None],
        _user(_login(url)),
    )


def _user(login: str) -> str:
    """The user name with its colon, empty for a login without one, which is a token."""
    user, colon, _ = login.partition(":")
    return user + colon if colon else ""
