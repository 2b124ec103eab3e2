"""Where Rapport may post to: addresses that tenants give are checked after DNS resolution.

A name is resolved once and the connection goes to the very address that was checked, so that a
name which answers differently the second time (DNS rebinding) gains nothing.
"""

import ipaddress
import socket
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx

from rapport.errors import Invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
PORTS = {"http": 80, "https": 443}
MAX_URL = 2000


class Unresolved(Invalid):
    """A name that does not resolve at present; it may later."""


def resolve_public(url: str, allow_private: bool) -> str:
    """The network address that an http(s) URL leads to. Raises Invalid, of which Unresolved is a kind.

    Refused are other schemes, URLs with credentials, names that do not resolve and, unless
    allow_private, names of which any address is private, loopback, link-local, multicast or
    otherwise not public.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise Invalid("The URL has a port that is not a number below 65536.") from error
    if parts.scheme not in PORTS or not parts.hostname:
        raise Invalid("The URL must be absolute and begin with http:// or https://.")
    if parts.username or parts.password:
        raise Invalid("The URL must not hold a user name or a password.")
    found = _resolved(parts.hostname, port or PORTS[parts.scheme])
    if not allow_private and not all(is_public(address) for address in found):
        raise Invalid("The URL leads to a private address, which this server does not post to.")
    return str(found[0])


def checked_url(url: str, parameter: str, allow_private: bool) -> str:
    """A URL that a tenant wants things posted to, decoded once when it came percent-encoded as a whole.

    A name that does not resolve yet is accepted; every post resolves and checks it again. A user name and a
    password in it are sent as Basic authentication. Raises Invalid naming the parameter.
    """
    if "://" not in url and "%3a%2f%2f" in url.lower():
        url = unquote(url)
    if len(url) > MAX_URL or any(ord(letter) <= ord(" ") for letter in url):
        raise Invalid(f"{parameter} must be an absolute http or https URL of at most {MAX_URL} characters.")
    try:
        parts = urlsplit(url)
        resolve_public(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), allow_private)
    except Unresolved:
        return url
    except (Invalid, ValueError) as error:
        sentence = error.message if isinstance(error, Invalid) else "The URL is malformed."
        raise Invalid(f"{parameter}: {sentence}") from error
    return url


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public Internet, also when it is wrapped in an IPv6 one."""
    inner = _unwrapped(address)
    return inner.is_global and not inner.is_multicast


def _unwrapped(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _resolved(host: str, port: int) -> list[Address]:
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unresolved(f"The host {host!r} of the URL cannot be resolved.") from error
    return [ipaddress.ip_address(str(answer[4][0]).split("%")[0]) for answer in answers]


class PublicTransport(httpx.HTTPTransport):
    """An httpx transport that checks every request's address and connects to the one it checked.

    Use it with trust_env=False, so that no proxy resolves the name again. Raises Invalid from the request.
    """

    def __init__(self, allow_private: bool) -> None:
        super().__init__()
        self._allow_private = allow_private

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request to the checked address under the name's Host header and certificate."""
        host = request.url.host
        address = resolve_public(str(request.url), self._allow_private)
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.url = request.url.copy_with(host=address)
        return super().handle_request(request)
