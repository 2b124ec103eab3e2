"""Access tokens of providers: kept until shortly before they end, and fetched by one caller at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from rapport.channels.push.answers import Answer, Verdict
from rapport.stores.outside.posting import Answer as Posted

# A token that ends within so many seconds is replaced.
EARLY_SECONDS = 120.0
Fetched = tuple[str, float]


class TokenRefused(Exception):
    """No token could be had; away: since its server could not be reached. The text is the reason in few words."""

    def __init__(self, reason: str, *, away: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.away = away


class AccessToken:
    """fetch answers a token and for how many seconds it is good. Raises TokenRefused."""

    def __init__(self, fetch: Callable[[], Awaitable[Fetched]]) -> None:
        self._fetch = fetch
        self._lock = asyncio.Lock()
        self._text, self._until = "", float("-inf")

    async def get(self, refused: str = "") -> str:
        """The token; another one than was refused. Raises TokenRefused."""
        async with self._lock:
            if time.monotonic() >= self._until or (refused and self._text == refused):
                text, seconds = await self._fetch()
                self._text, self._until = text, time.monotonic() + max(seconds - EARLY_SECONDS, seconds / 2)
            return self._text

    async def posted(
        self, post: Callable[[str], Awaitable[Posted]], is_refused: Callable[[Posted], bool]
    ) -> Posted | Answer:
        """What a service answers to a post with the token; it is posted once more with a new one if the service takes
        this one no more. An Answer where no token can be had.
        """
        try:
            token = await self.get()
            posted = await post(token)
            return await post(await self.get(refused=token)) if is_refused(posted) else posted
        except TokenRefused as error:
            return Answer(Verdict.AWAY if error.away else Verdict.LATER, error.reason)
