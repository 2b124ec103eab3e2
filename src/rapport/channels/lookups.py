"""Questions to name servers."""

import ipaddress
import time
from typing import Any

import dns.exception
import dns.nameserver
import dns.resolver
import dns.reversename

from rapport.errors import Unavailable
from rapport.settings import Settings

# For one question, and for all of what somebody waits for.
LOOKUP_SECONDS, CHECK_SECONDS = 4.0, 10.0


class NoAnswer(Exception):
    """No name server answers."""


class Lookup:
    """Questions to the name servers that the operator set, or those of the machine, for CHECK_SECONDS from now on."""

    def __init__(self, settings: Settings) -> None:
        try:
            self._resolver = dns.resolver.Resolver(configure=not settings.dns_servers)
        except dns.resolver.NoResolverConfiguration as error:
            raise Unavailable("This machine names no DNS servers: set RAPPORT_DNS_SERVERS.") from error
        if settings.dns_servers:
            self._resolver.nameservers = [
                dns.nameserver.Do53Nameserver(address, port) for address, port in settings.dns_server_list
            ]
        self._end = time.monotonic() + CHECK_SECONDS

    def texts(self, name: str) -> list[str]:
        """The TXT records of a name, each with its strings joined. Raises NoAnswer, as the others do."""
        return [b"".join(record.strings).decode(errors="replace") for record in self._ask(name, "TXT")]

    def exchanges(self, name: str) -> list[str]:
        """The MX records of a name as `preference host`, the preferred first."""
        records = sorted((record.preference, _plain(record.exchange)) for record in self._ask(name, "MX"))
        return [f"{preference} {host}" for preference, host in records]

    def addresses(self, name: str) -> list[str]:
        """The addresses of a host; of an address itself."""
        try:
            return [str(ipaddress.ip_address(name))]
        except ValueError:
            return [record.address for kind in ("A", "AAAA") for record in self._ask(name, kind)]

    def names_of(self, address: str) -> list[str]:
        """The reverse names of an address."""
        return [_plain(record.target) for record in self._ask(str(dns.reversename.from_address(address)), "PTR")]

    def _ask(self, name: str, kind: str) -> list[Any]:
        seconds = min(LOOKUP_SECONDS, self._end - time.monotonic())
        if seconds <= 0:
            raise NoAnswer
        try:
            return list(self._resolver.resolve(name, kind, search=False, raise_on_no_answer=False, lifetime=seconds))
        except dns.resolver.NXDOMAIN:
            return []
        except dns.exception.DNSException as error:
            raise NoAnswer from error


def _plain(name: object) -> str:
    return str(name).rstrip(".").lower()
