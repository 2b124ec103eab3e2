"""Answers that clients and caches keep: with an ETag, packed, and 304 for whoever has them already."""

import gzip
import hashlib

from fastapi import Request
from starlette.responses import Response

# What is shorter is as long packed.
PACKED_FROM = 512


def cacheable(request: Request, body: bytes, media_type: str, seconds: int) -> Response:
    """A body that may be kept for so many seconds and is asked for again by its ETag (If-None-Match)."""
    tag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": f"public, max-age={seconds}", "Vary": "Accept-Encoding"}
    if _has(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    if len(body) >= PACKED_FROM and _takes_gzip(request.headers.get("accept-encoding", "")):
        body = gzip.compress(body, 6, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, headers=headers, media_type=media_type)


def _has(known: str, tag: str) -> bool:
    bare = tag.removeprefix("W/")
    return any(other.strip() in ("*", tag, bare) for other in known.split(","))


def _takes_gzip(accepted: str) -> bool:
    for part in accepted.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
