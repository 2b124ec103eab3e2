"""Idempotency-Key at the management API: a POST repeated under its key gets the first answer again."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import IO, Any

from anyio.to_thread import run_sync
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rapport.access import idempotency
from rapport.access.idempotency import Answer
from rapport.access.operator import OPERATOR_HEADER, TENANT_HEADER
from rapport.api.http.auth import authenticate, for_tenant, operator
from rapport.api.http.responses import problem
from rapport.errors import Invalid, RapportError

HEADER = "Idempotency-Key"
PREFIX = "/manage/v1/"
# Bytes of a body that are kept in memory, and that are passed on at a time.
IN_MEMORY = PART = 1 << 20
# What another caller, or the same one later, is not answered: nothing was done.
PASSING = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}


class Idempotency:
    """ASGI middleware. Who calls is found out here, so that only the same tenant meets its own keys."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from what is kept, or pass the request on and keep its answer."""
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith(PREFIX):
            return await self.app(scope, receive, send)
        request = Request(scope, receive)
        key = request.headers.get(HEADER)
        if key is None or not _names_tenant(request):
            return await self.app(scope, receive, send)
        try:
            await self._answer(request, key, send)
        except RapportError as error:
            await problem(error)(scope, receive, send)
        return None

    async def _answer(self, request: Request, key: str, send: Send) -> None:
        if not key or len(key) > idempotency.LONGEST_KEY or not key.isascii() or not key.isprintable():
            raise Invalid(f"{HEADER} must be 1 to {idempotency.LONGEST_KEY} printable ASCII characters.")
        tenant, secret = await run_in_threadpool(_caller, request)
        async with _read(request) as (body, print_):
            await self._answer_once(request, body, (tenant, key, print_, secret), send)

    async def _answer_once(
        self, request: Request, body: IO[bytes], claim: tuple[Any, str, str, str], send: Send
    ) -> None:
        tenant, key, _, secret = claim
        stored_answer = await run_sync(idempotency.begin, *claim)
        if stored_answer is not None:
            replay = Response(
                stored_answer.body,
                stored_answer.status,
                {"Idempotency-Replayed": "true", "Content-Type": stored_answer.content_type},
            )
            await replay(request.scope, request.receive, send)
            return
        answer: Answer | None = None
        try:
            answer, messages = await self._pass_on(request, body)
        finally:
            await run_sync(idempotency.finish, tenant, key, answer, secret)
        # Only now, so that a caller who repeats at once finds the answer kept.
        for message in messages:
            await send(message)

    async def _pass_on(self, request: Request, body: IO[bytes]) -> tuple[Answer | None, list[Message]]:
        """Pass on a request whose body was read; its answer (None if it failed for a passing reason), its messages."""
        messages: list[Message] = []
        unread = _messages(body)

        async def receive() -> Message:
            return await run_sync(next, unread, None) or await request.receive()

        async def collect(message: Message) -> None:
            messages.append(message)

        await self.app(request.scope, receive, collect)
        begun = messages[0]
        status = begun["status"]
        content_type = dict(begun["headers"]).get(b"content-type", b"").decode("latin-1")
        content = b"".join(message.get("body", b"") for message in messages[1:])
        passing = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in PASSING
        return None if passing else Answer(status, content_type, content), messages


@asynccontextmanager
async def _read(request: Request) -> AsyncIterator[tuple[IO[bytes], str]]:
    """The body of a request, a large one in a file, and the fingerprint of both."""
    print_ = idempotency.Fingerprint(request.method, f"{request.url.path}?{request.url.query}")
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as body:

        def add(part: bytes) -> None:
            print_.add(part)
            body.write(part)

        async for part in request.stream():
            await run_sync(add, part)
        body.seek(0)
        yield body, str(print_)


def _messages(body: IO[bytes]) -> Iterator[Message]:
    """A body that was read as the messages that it came in."""
    part = body.read(PART)
    while more := body.read(PART):
        yield {"type": "http.request", "body": part, "more_body": True}
        part = more
    yield {"type": "http.request", "body": part, "more_body": False}


def _names_tenant(request: Request) -> bool:
    """Whether the request names its tenant: the operator's own calls (creating tenants) do not."""
    return OPERATOR_HEADER not in request.headers or TENANT_HEADER in request.headers


def _caller(request: Request) -> tuple[Any, str]:
    """The scope and the secret behind a request that the front door let in."""
    if OPERATOR_HEADER in request.headers:
        return for_tenant(request, operator(request)).scope, request.headers[OPERATOR_HEADER]
    secret = request.headers.get("x-api-key") or request.headers["authorization-token"]
    return authenticate(request).scope, secret
