"""Posts to providers that speak HTTP, so many at once."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor
from datetime import timedelta

from rapport.stores.outside.posting import Answer as Posted
from rapport.stores.outside.posting import Poster

AT_ONCE = 64


class Posts:
    """allow_private: whether the addresses are the operator's, or may lead anywhere; a tenant's are checked."""

    def __init__(self, resolvers: Executor, seconds: float, *, allow_private: bool) -> None:
        self._poster = Poster(resolvers, seconds, allow_private=allow_private)
        self._room = asyncio.Semaphore(AT_ONCE)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Posted:
        """Post once. Whatever goes wrong is told in the answer."""
        async with self._room:
            return await self._poster.post(url, dict(headers), body)

    async def close(self) -> None:
        """Close every connection."""
        await self._poster.close()


def wait_of(posted: Posted) -> float:
    """After how many seconds the provider wants to be asked again; 0 where it does not say."""
    return (posted.retry_after or timedelta()).total_seconds()
