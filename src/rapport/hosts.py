"""Where Rapport may connect to: hosts that tenants give are checked after DNS resolution.

A name is resolved once and the connection goes to the very address that was checked, so that a
name which answers differently the second time (DNS rebinding) gains nothing.
"""

import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote, urlsplit, urlunsplit

from rapport.errors import Invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# The one block of IPv6 addresses that the Internet uses (RFC 4291): all others are local, reserved or wrap another.
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# Special blocks that older releases of Python take for public, and the address at which machines of Azure ask for what
# they are to know of themselves; those of other clouds are private.
SPECIAL = (
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv6Network("3fff::/20"),
    ipaddress.IPv4Network("168.63.129.16/32"),
)
# Of an address that reaches an IPv4 one within a site (ISATAP, RFC 5214), what precedes that one.
ISATAP = (0x00005EFE, 0x02005EFE)
PORTS = {"http": 80, "https": 443}
MAX_URL = 2000
# Who registers a URL waits for its name so long and no longer; every post looks it up and checks it again.
PATIENCE_SECONDS = 2.0
_LOOKING_UP = ThreadPoolExecutor(64, "lookup")


class Unresolved(Invalid):
    """A name that does not resolve at present; it may later."""


class PrivateAddress(Invalid):
    """A name or an address that leads to a private network."""


def resolve_public(url: str, *, allow_private: bool) -> str:
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
        raise Invalid("The URL must not contain a user name or a password.")
    try:
        return public_addresses(parts.hostname, port or PORTS[parts.scheme], allow_private=allow_private)[0]
    except PrivateAddress as error:
        raise PrivateAddress("The URL leads to a private address, which this server does not post to.") from error


def public_addresses(host: str, port: int, *, allow_private: bool) -> list[str]:
    """The network addresses of a host that tenants chose, in order of preference; connect to these, not to the name.

    Raises Unresolved, and PrivateAddress unless allow_private for a host of which any address is private, loopback,
    link-local, multicast or otherwise not public.
    """
    resolved = _resolved(host, port)
    if not allow_private and not all(is_public(address) for address in resolved):
        raise PrivateAddress(f"The host {host!r} leads to a private address, which this server does not connect to.")
    return [str(address) for address in resolved]


def checked_url(url: str, parameter: str, *, allow_private: bool) -> str:
    """A URL that a tenant wants things posted to, decoded once when it came percent-encoded as a whole.

    A name that does not resolve yet, or takes long to, is accepted; every post resolves and checks it again. A user
    name and a password in it are sent as Basic authentication. Raises Invalid naming the parameter.
    """
    if "://" not in url and "%3a%2f%2f" in url.lower():
        url = unquote(url)
    if len(url) > MAX_URL or any(ord(letter) <= ord(" ") for letter in url):
        raise Invalid(f"{parameter} must be an absolute http or https URL of at most {MAX_URL} characters.")
    try:
        parts = urlsplit(url)
        bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        _LOOKING_UP.submit(resolve_public, bare, allow_private=allow_private).result(PATIENCE_SECONDS)
    except (Unresolved, TimeoutError):
        return url
    except (Invalid, ValueError) as error:
        sentence = error.message if isinstance(error, Invalid) else "The URL is malformed."
        raise Invalid(f"{parameter}: {sentence}") from error
    return url


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public Internet, also when it is wrapped in an IPv6 one."""
    inner = _unwrapped(address)
    if inner.version == 6 and inner not in GLOBAL_UNICAST:
        return False
    return inner.is_global and not inner.is_multicast and not any(inner in block for block in SPECIAL)


def _unwrapped(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in NAT64 or (int(address) >> 32) & 0xFFFFFFFF in ISATAP:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _resolved(host: str, port: int) -> list[Address]:
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unresolved(f"The host {host!r} cannot be resolved.") from error
    return [ipaddress.ip_address(str(answer[4][0]).split("%")[0]) for answer in answers]
