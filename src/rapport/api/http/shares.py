"""Each tenant's share of the threads that answer requests: slow calls of one tenant hold up no other's."""

import asyncio
import re

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rapport.access.keys import Principal
from rapport.api.http.body_sizes import UPLOADS
from rapport.api.http.responses import error_response
from rapport.errors import Away
from rapport.stores.turns import FairQueues

# As many as anyio has for all routes that are no coroutines.
THREADS = 40
# So many requests of a tenant wait for its share; what comes beyond is told to come again.
MOST_WAITING = 100
# What goes on for long, of which its route allows few: it takes a thread for moments only.
STREAMED = frozenset({"/manage/v1/sports/changes"})
# What is worked on together, a thread for all calls of a tenant.
GATHERED = frozenset({"/v1/promocodes/redemptions"})
# The same where it is about few, and so has a small body; the route takes a place when it is about more.
GATHERED_IF_FEW = re.compile(r"/v1/promotions/[^/]+/validateCustomers", re.IGNORECASE)
SMALL_BODY = 16 * 1024
CROWDED = "So many calls of this tenant are under way that no more can wait: try again."


class Places:
    """Places of tenants in turn, inside one event loop."""

    def __init__(self, count: int) -> None:
        self._turns = FairQueues[asyncio.Future[None]](count)

    def waiting(self, tenant_id: int) -> int:
        """How many wait for a place of a tenant."""
        return self._turns.waiting(tenant_id)

    async def take(self, tenant_id: int) -> None:
        """Wait for a place and take it."""
        turn = asyncio.get_running_loop().create_future()
        self._turns.join(tenant_id, turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(tenant_id)
            else:
                self._turns.leave(tenant_id, turn)
            raise

    def give_back(self, tenant_id: int) -> None:
        """Leave a place to others."""
        self._turns.give_back(tenant_id)
        self._admit()

    def _admit(self) -> None:
        """Give free places to those whose turn it is."""
        cancelled = []
        for tenant_id, turn in self._turns.admitted():
            if turn.cancelled():
                cancelled.append(tenant_id)
            else:
                turn.set_result(None)
        for tenant_id in cancelled:
            self.give_back(tenant_id)


class Shares:
    """ASGI middleware behind the front door. A place is held to the end of the answer.

    A file that comes needs none, and neither does a stream or what is worked on together.
    """

    def __init__(self, app: ASGIApp, threads: int = THREADS) -> None:
        self.app = app
        self._places = Places(threads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request of a known tenant wait for its turn."""
        principal: Principal | None = scope.get("state", {}).get("principal")
        if principal is None or scope["path"] in STREAMED | GATHERED:
            return await self.app(scope, receive, send)
        tenant_id, is_gathered, has_place = principal.scope.tenant_id, _is_gathered(scope), False
        if self._is_crowded(tenant_id) and not is_gathered:
            return await error_response(scope["path"], Away(CROWDED))(scope, receive, send)

        async def take() -> None:
            nonlocal has_place
            if not has_place:
                await self._places.take(tenant_id)
                has_place = True

        async def take_late() -> None:
            if not has_place and self._is_crowded(tenant_id):
                raise Away(CROWDED)
            await take()

        async def received() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                await take()
            return message

        scope["state"]["take_place"] = take_late
        try:
            if is_gathered:
                return await self.app(scope, receive, send)
            if scope["path"] not in UPLOADS or scope["method"] != "POST":
                await take()
            await self.app(scope, received, send)
        finally:
            if has_place:
                self._places.give_back(tenant_id)

    def _is_crowded(self, tenant_id: int) -> bool:
        return self._places.waiting(tenant_id) >= MOST_WAITING


async def take_place(request: Request) -> None:
    """Wait for a place of the caller's tenant, where its request came in without one. Raises Away."""
    await request.state.take_place()


def _is_gathered(scope: Scope) -> bool:
    length = Headers(scope=scope).get("content-length", "")
    is_small = length.isdecimal() and int(length) <= SMALL_BODY
    return is_small and GATHERED_IF_FEW.fullmatch(scope["path"]) is not None
