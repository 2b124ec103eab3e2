"""Posts of one transport, in a thread of their own: checked, signed by whoever posts, over kept connections."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from rapport.stores.outside.posting import Answer, Poster

T = TypeVar("T")
RESOLVERS = 4


class Posts:
    """An event loop in a thread, with a poster that connects to no address that is not allowed."""

    def __init__(self, timeout: float, *, allow_private: bool) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sms posts", daemon=True)
        self._thread.start()
        self._resolvers = ThreadPoolExecutor(RESOLVERS, "sms resolve")
        self._poster = self.begin(self._opened(timeout, allow_private)).result()

    async def _opened(self, timeout: float, allow_private: bool) -> Poster:
        return Poster(self._resolvers, timeout, allow_private=allow_private)

    def begin(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Have something carried out in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Post once. Whatever goes wrong is told in the answer."""
        return await self._poster.post(url, headers, body)

    def close(self) -> None:
        """Let posts under way end, then close every connection."""
        self.begin(self._close()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._resolvers.shutdown(wait=False)

    async def _close(self) -> None:
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._poster.close()
