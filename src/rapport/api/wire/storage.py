"""Files of executed campaigns by the paths of Google Cloud Storage, for clients whose storage endpoint leads here.

A client proves itself with the key of the files, which event 14 tells, as its customer-supplied encryption key. What
shows no content, such as a list, takes an API key instead: as X-API-KEY, or as the bearer token of such clients.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

import google_crc32c
import orjson
from fastapi import Path, Query, Request
from starlette.responses import Response

from rapport.access.keys import KeyRing
from rapport.access.limits import RateLimiter, share, source
from rapport.access.roles import may_call, rights_cover
from rapport.access.scope import Scope, scope_of
from rapport.api.http.parameters import INT32_MAX
from rapport.api.http.ranges import Unsatisfiable, part_of
from rapport.api.http.responses import headers_of
from rapport.api.sections import SectionRouter
from rapport.campaigns.delivery import stored_objects
from rapport.campaigns.delivery.engagements import bucket as bucket_of
from rapport.campaigns.delivery.stored_objects import CustomerKey, StoredObject
from rapport.errors import Forbidden, Invalid, NotFound, RapportError, Unauthorized

router = SectionRouter("Storage")

FUNCTION = "GetEngagementFile"  # the access to all ways to these files
BUCKET = re.compile(r"rapport-(\d{1,10})")
ENCRYPTION = "x-goog-encryption-"
OCTETS = "application/octet-stream"
MOST_LISTED = 1000
REASONS = {400: "invalid", 401: "required", 403: "forbidden", 404: "notFound", 429: "rateLimitExceeded"}
_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "integer"},
                "message": {"type": "string"},
                "errors": {"type": "array", "items": {"type": "object"}},
            },
        }
    },
}
_FORM = {"content": {"application/json": {"schema": _ERROR}}}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The encryption key is missing or malformed, or not the key of the object", **_FORM},
    401: {"description": "Neither the key of the object nor an API key", **_FORM},
    403: {"description": "The API key does not cover it, or the encryption key opens no such object", **_FORM},
    404: {"description": "There is no such bucket or object", **_FORM},
    429: {"description": "Over the rate limit", **_FORM},
}
_OBJECT = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("kind", "name", "bucket", "size", "updated", "generation")},
}
_ENCRYPTION_HEADERS = [
    {
        "name": f"X-Goog-Encryption-{name}",
        "in": "header",
        "schema": {"type": "string"},
        "description": description,
    }
    for name, description in (
        ("Algorithm", "AES256"),
        ("Key", "DecryptionKey of event 14"),
        ("Key-Sha256", "The SHA-256 of the key's bytes, in base64"),
    )
]
BucketName = Annotated[str, Path(description="BucketName of event 14")]
ObjectName = Annotated[str, Path(description="MetadataFilePath of event 14, or a file in its CustomersFolderPath")]


def _supplied(request: Request) -> CustomerKey | None:
    """The encryption key of a request, if it has one. Raises Invalid."""
    algorithm, key, digest = (request.headers.get(ENCRYPTION + name, "") for name in ("algorithm", "key", "key-sha256"))
    if not (algorithm or key or digest):
        return None
    supplied = CustomerKey(algorithm, key, digest)
    supplied.check_form()
    return supplied


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _by_api_key(request: Request) -> Scope | None:
    """The tenant of an API key; None without one. A bearer token that is none of ours is none.

    Raises Unauthorized, Forbidden, TooManyRequests.
    """
    own = request.headers.get("x-api-key", "")
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    secret = own or (token.strip() if kind.lower() == "bearer" else "")
    if not secret:
        return None
    keys: KeyRing = request.app.state.keys
    limiter: RateLimiter = request.app.state.limiter
    try:
        principal = keys.principal(secret, _address(request))
    except Unauthorized:
        if own:
            raise
        return None
    limiter.hit(f"key:{principal.key_id}", principal.rate_limit)
    if not may_call(principal.access_type, FUNCTION) or not rights_cover(
        principal.rights, principal.sections, FUNCTION, reads=True
    ):
        raise Forbidden("The API key does not cover the files of campaigns.")
    return principal.scope


def _holder(request: Request) -> Scope:
    """The tenant of the API key that a request shows. Raises Unauthorized for none."""
    scope = _by_api_key(request)
    if scope is None:
        raise Unauthorized("An API key is required: as X-API-KEY, or as a bearer token.")
    return scope


def _found(request: Request, bucket: str, name: str, *, opened: bool) -> StoredObject:
    """The object of a request that may see it; opened: its content, too. Raises as _by_api_key, NotFound, Invalid."""
    supplied, scope = _supplied(request), _by_api_key(request)
    if scope is not None:
        stored = stored_objects.stored_object(scope, bucket, name)
        if supplied is not None and not supplied.opens(stored):
            raise Invalid("The encryption key is not the key of the object.")
        if supplied is None and opened:
            raise Invalid("The object is encrypted: its encryption key is required.")
        return stored
    if supplied is None:
        raise Unauthorized("The encryption key of the object is required, or an API key.")
    match = BUCKET.fullmatch(bucket)
    number = int(match[1]) if match else 0
    try:
        if not 0 < number <= INT32_MAX:
            raise NotFound("There is no such bucket.")
        stored = stored_objects.stored_object(scope_of(request.app.state.stores, number, actor="storage"), bucket, name)
        is_opened = supplied.opens(stored)
    except NotFound:  # whoever has no key learns nothing of what there is
        is_opened = False
    if not is_opened:
        raise Forbidden("There is no such object, or the encryption key is not its key.")
    return stored


def _answered(request: Request, work: Callable[[], Response]) -> Response:
    """An answer, or an error in the form of that API; strangers who try too often are told to wait."""
    try:
        return work()
    except RapportError as error:
        refused = error
    if isinstance(refused, Unauthorized | Forbidden):
        limiter: RateLimiter = request.app.state.limiter
        try:
            processes = request.app.state.stores.api_processes
            limiter.hit(f"failed:{source(_address(request))}", share(limiter.calls, processes))
        except RapportError as error:
            refused = error
    problem = {"message": refused.message, "domain": "global", "reason": REASONS.get(refused.status, "backendError")}
    body = {"error": {"code": refused.status, "message": refused.message, "errors": [problem]}}
    return Response(orjson.dumps(body), refused.status, headers_of(refused), media_type="application/json")


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


def _resource(request: Request, bucket: str, stored: StoredObject) -> dict[str, Any]:
    """An object as that API describes it."""
    base = request.app.state.stores.settings.links_url
    path = f"/b/{quote(bucket, safe='')}/o/{quote(stored.name, safe='')}"
    written_at = f"{stored.written_at:%Y-%m-%dT%H:%M:%S}.{stored.written_at.microsecond // 1000:03}Z"
    return {
        "kind": "storage#object",
        "id": f"{bucket}/{stored.name}/{stored.generation}",
        "selfLink": f"{base}/storage/v1{path}",
        "mediaLink": f"{base}/download/storage/v1{path}?generation={stored.generation}&alt=media",
        "name": stored.name,
        "bucket": bucket,
        "generation": str(stored.generation),
        "metageneration": "1",
        "contentType": OCTETS,
        "storageClass": "STANDARD",
        "size": str(stored.size),
        "timeCreated": written_at,
        "updated": written_at,
        "etag": f"{stored.generation:x}",
        "customerEncryption": {"encryptionAlgorithm": stored_objects.AES256, "keySha256": stored.key_digest},
    }


def _hashes(content: bytes) -> str:
    """The checksums by which clients of that API see that they have the whole content."""
    crc32c = google_crc32c.value(content).to_bytes(4, "big")
    md5 = hashlib.md5(content, usedforsecurity=False).digest()
    return f"crc32c={base64.b64encode(crc32c).decode()},md5={base64.b64encode(md5).decode()}"


def _media(request: Request, stored: StoredObject) -> Response:
    """The content of an object, or the part that is asked for."""
    content = stored.content()
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": f'"{stored.generation:x}"',
        "X-Goog-Generation": str(stored.generation),
        "X-Goog-Metageneration": "1",
        "X-Goog-Hash": _hashes(content),
        "X-Goog-Stored-Content-Length": str(len(content)),
        "X-Goog-Encryption-Algorithm": stored_objects.AES256,
        "X-Goog-Encryption-Key-Sha256": stored.key_digest,
    }
    try:
        part = part_of(request.headers.get("range", ""), len(content))
    except Unsatisfiable:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{len(content)}"})
    if part is None:
        return Response(content, headers=headers, media_type=OCTETS)
    begin, end = part
    headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(content)}"
    return Response(content[begin:end], 206, headers, media_type=OCTETS)


@router.get(
    "/storage/v1/b/{bucket}",
    summary="The bucket of a tenant's files",
    operation_id="GetBucket",
    response_class=Response,
    responses={200: {"description": "The bucket", "content": {"application/json": {"schema": _OBJECT}}}, **_REFUSALS},
)
def bucket_resource(bucket: BucketName, request: Request) -> Response:
    """Needs an API key that covers GetEngagementFile, as X-API-KEY or as a bearer token."""

    def work() -> Response:
        if bucket != bucket_of(_holder(request)):
            raise NotFound("There is no such bucket.")
        return _json({"kind": "storage#bucket", "id": bucket, "name": bucket, "storageClass": "STANDARD"})

    return _answered(request, work)


@router.get(
    "/storage/v1/b/{bucket}/o",
    summary="List the files of executed campaigns",
    operation_id="ListObjects",
    response_class=Response,
    responses={
        200: {
            "description": "The objects, by name",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "kind": {"type": "string"},
                            "items": {"type": "array", "items": _OBJECT},
                            "nextPageToken": {"type": "string"},
                        },
                    }
                }
            },
        },
        **_REFUSALS,
    },
)
def list_objects(
    bucket: BucketName,
    request: Request,
    prefix: Annotated[str, Query(description="Only names that begin with this")] = "",
    most: Annotated[int, Query(alias="maxResults", ge=1, description="Names of a page; at most 1000")] = MOST_LISTED,
    after: Annotated[str, Query(alias="pageToken", description="nextPageToken of the page before")] = "",
) -> Response:
    """Needs an API key that covers GetEngagementFile, as X-API-KEY or as a bearer token."""

    def work() -> Response:
        scope = _holder(request)
        if bucket != bucket_of(scope):
            raise NotFound("There is no such bucket.")
        size = min(most, MOST_LISTED)
        listed = stored_objects.stored_objects(scope, prefix, after, size + 1)
        page: dict[str, Any] = {"kind": "storage#objects"}
        if listed:
            page["items"] = [_resource(request, bucket, stored) for stored in listed[:size]]
        if len(listed) > size:
            page["nextPageToken"] = listed[size - 1].name
        return _json(page)

    return _answered(request, work)


@router.get(
    "/storage/v1/b/{bucket}/o/{name:path}",
    summary="A file of an executed campaign, or what is known of it",
    operation_id="GetObject",
    response_class=Response,
    responses={
        200: {
            "description": "The object's properties, or with alt=media its content",
            "content": {"application/json": {"schema": _OBJECT}, OCTETS: {}},
        },
        206: {"description": "The part of the content that Range asks for", "content": {OCTETS: {}}},
        416: {"description": "The content does not have the range", **_FORM},
        **_REFUSALS,
    },
    openapi_extra={"parameters": _ENCRYPTION_HEADERS},
)
def object_resource(
    bucket: BucketName,
    name: ObjectName,
    request: Request,
    alt: Annotated[str, Query(description="media for the content, json for the properties")] = "json",
) -> Response:
    """Needs the key of the file in the encryption headers, or for the properties an API key instead."""
    if alt == "media":
        return _answered(request, lambda: _media(request, _found(request, bucket, name, opened=True)))
    return _answered(request, lambda: _json(_resource(request, bucket, _found(request, bucket, name, opened=False))))


@router.get(
    "/download/storage/v1/b/{bucket}/o/{name:path}",
    summary="Download a file of an executed campaign",
    operation_id="DownloadObject",
    response_class=Response,
    responses={
        200: {"description": "The content", "content": {OCTETS: {}}},
        206: {"description": "The part of the content that Range asks for", "content": {OCTETS: {}}},
        416: {"description": "The content does not have the range", **_FORM},
        **_REFUSALS,
    },
    openapi_extra={"parameters": _ENCRYPTION_HEADERS},
)
def download_object(bucket: BucketName, name: ObjectName, request: Request) -> Response:
    """Needs the key of the file in the encryption headers."""
    return _answered(request, lambda: _media(request, _found(request, bucket, name, opened=True)))
