"""The mail servers of domains, as DNS names them (MX): by them many domains belong to one mailbox provider."""

import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from rapport.channels.lookups import Lookup, NoAnswer
from rapport.errors import Unavailable
from rapport.stores import Stores

log = structlog.get_logger("rapport.channels")
# What is known is looked up again after a day, what no name server answered after some minutes.
KNOWN_SECONDS, UNKNOWN_SECONDS = 24 * 3600.0, 300.0
AT_ONCE = 8
MOST_KEPT = 100_000


class Exchangers:
    """What a process knows of the mail servers of domains."""

    def __init__(self, stores: Stores) -> None:
        self._settings = stores.settings
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[Sequence[str], float]] = {}

    def of(self, domains: Collection[str]) -> dict[str, Sequence[str]]:
        """The hosts that take the mail of each domain, in lower case; none where that cannot be found out.

        Those that are not known are looked up, which takes ten seconds at most.
        """
        now = time.monotonic()
        with self._lock:
            known = {name: self._kept[name][0] for name in domains if name in self._kept and self._kept[name][1] > now}
        unknown = [name for name in domains if name not in known]
        return known | self._looked_up(unknown) if unknown else known

    def _looked_up(self, domains: Sequence[str]) -> dict[str, Sequence[str]]:
        try:
            lookup = Lookup(self._settings)
        except Unavailable as error:
            log.warning("mail servers cannot be looked up", reason=error.message)
            return {}

        def exchangers(domain: str) -> tuple[Sequence[str], float]:
            try:
                hosts = [exchange.partition(" ")[2] for exchange in lookup.exchanges(domain)]
            except NoAnswer:
                return (), UNKNOWN_SECONDS
            return hosts, KNOWN_SECONDS

        with ThreadPoolExecutor(AT_ONCE, "mx") as threads:
            answers = dict(zip(domains, threads.map(exchangers, domains), strict=True))
        now = time.monotonic()
        with self._lock:
            if len(self._kept) > MOST_KEPT:
                self._kept.clear()
            self._kept |= {domain: (hosts, now + seconds) for domain, (hosts, seconds) in answers.items()}
        return {domain: hosts for domain, (hosts, _) in answers.items()}

    def stop(self) -> None:
        """There is nothing to end."""
