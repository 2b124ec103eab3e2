"""Rate limits: a sliding window per key, 50 calls in 10 seconds unless set otherwise."""

import ipaddress
import math
import time

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from rapport.errors import TooManyRequests


def share(limit: int, processes: int) -> int:
    """What one of so many API processes, each of which counts for itself, lets through of a limit; 0 means no limit."""
    return max(1, math.ceil(limit / processes)) if limit else 0


def source(address: str) -> str:
    """Whom attempts from an address count against: of IPv6 all of a network of 64 bits, since each holder has one."""
    try:
        ip_address = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip_address, ipaddress.IPv4Address) or ip_address.ipv4_mapped:
        return address
    return str(ipaddress.IPv6Network((ip_address, 64), strict=False))


class RateLimiter:
    """Counts calls in this process. Of n API processes each is given its share, or they allow n times a limit."""

    @property
    def calls(self) -> int:
        """The usual limit."""
        return self._calls

    def __init__(self, calls: int, seconds: int) -> None:
        self._calls, self._seconds = calls, seconds
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def has_room(self, caller: str) -> bool:
        """Whether one more call would be within the limit; none is counted."""
        return self._limiter.test(RateLimitItemPerSecond(self._calls, self._seconds), caller)

    def hit(self, caller: str, calls: int | None = None) -> None:
        """Count one call. Raises TooManyRequests when the window is full; 0 calls means no limit."""
        allowed = self._calls if calls is None else calls
        if allowed == 0:
            return
        item = RateLimitItemPerSecond(allowed, self._seconds)
        if not self._limiter.hit(item, caller):
            reset = self._limiter.get_window_stats(item, caller).reset_time
            wait = max(1, math.ceil(reset - time.time()))
            raise TooManyRequests(
                f"API group limit of {allowed} calls per {self._seconds} seconds is passed, try again in {wait} s.",
                wait,
            )
