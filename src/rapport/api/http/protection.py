"""Headers that keep browsers and caches from doing anything with an answer but what it is for."""

import base64
import hashlib
import re

Headers = list[tuple[bytes, bytes]]
DOCUMENTATION = "/docs/assets/"
INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
NOTHING = b"default-src 'none'; frame-ancestors 'none'"
# A page that says nothing itself may load what it needs from here, and be shown in no frame.
PAGE = b"base-uri 'self'; object-src 'none'; frame-ancestors 'none'"
ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]


def protected(path: str, headers: Headers) -> Headers:
    """The headers of an answer with those that it lacks. What a route says itself stays."""
    present = {name.lower(): value for name, value in headers}
    missing = [header for header in ALWAYS if header[0] not in present]
    if b"cache-control" not in present:
        missing.append((b"cache-control", b"no-cache" if path.startswith(DOCUMENTATION) else b"no-store"))
    if b"content-security-policy" not in present:
        is_page = present.get(b"content-type", b"").startswith(b"text/html")
        missing.append((b"content-security-policy", PAGE if is_page else NOTHING))
    return [*headers, *missing]


def policy_of(page: str) -> str:
    """The content security policy of a page whose files come from here and whose own script is this one only."""
    digests = (hashlib.sha256(script.encode()).digest() for script in INLINE_SCRIPT.findall(page))
    scripts = " ".join(["'self'", *(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "font-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
