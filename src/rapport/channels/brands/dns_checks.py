"""Whether the DNS records of a brand are there, as the world sees them."""

import ipaddress
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from rapport.channels.brands.dns_records import PLACEHOLDER, PLACEHOLDER_HOST, DnsRecord, Purpose
from rapport.channels.lookups import Lookup, NoAnswer
from rapport.hosts import is_public
from rapport.settings import Settings

AT_ONCE = 8
# Names of fewer labels belong to registries, which have no policy of anybody's mail.
FEWEST_LABELS = 2


class Presence(StrEnum):
    """Whether a record is present. UNKNOWN: no name server answered, or Rapport cannot tell."""

    PRESENT = "present"
    MISSING = "missing"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """What was found in the place of a record, and what is wrong with it; fault is empty where nothing is."""

    presence: Presence
    values: Sequence[str] = ()
    fault: str = ""


def checked(settings: Settings, records: Sequence[DnsRecord]) -> list[Finding]:
    """What there is in the place of each record. Raises Unavailable on a machine that names no DNS servers."""
    lookup = Lookup(settings)

    def check(record: DnsRecord) -> Finding:
        try:
            return CHECKS[record.purpose](lookup, record, settings)
        except NoAnswer:
            return Finding(Presence.UNKNOWN, fault="No name server answered: ask again later.")

    with ThreadPoolExecutor(AT_ONCE, "dns") as threads:
        return list(threads.map(check, records))


def _spf(lookup: Lookup, record: DnsRecord, settings: Settings) -> Finding:
    policies = [text for text in lookup.texts(record.name) if text.lower().split(" ")[0] == "v=spf1"]
    if not policies:
        return Finding(Presence.MISSING, fault=f"{record.name} has no SPF record.")
    if len(policies) > 1:
        fault = f"{record.name} has {len(policies)} SPF records: receivers take none of them unless there is just one."
        return Finding(Presence.DIFFERENT, policies, fault)
    words = set(policies[0].lower().split())
    lacking = [word for word in record.value.split()[1:-1] if word != PLACEHOLDER and word not in words]
    if lacking:
        fault = f"The record does not say {' '.join(lacking)}. It will do only if it allows that server otherwise."
        return Finding(Presence.DIFFERENT, policies, fault)
    return Finding(Presence.PRESENT, policies)


def _dkim(lookup: Lookup, record: DnsRecord, settings: Settings) -> Finding:
    texts = lookup.texts(record.name)
    if not texts:
        return Finding(Presence.MISSING, fault=f"{record.name} has no TXT record.")
    if len(texts) == 1 and _tags(texts[0]).items() >= {"k": "rsa", **_tags(record.value)}.items():
        return Finding(Presence.PRESENT, texts)
    return Finding(Presence.DIFFERENT, texts, "The record does not hold the public half of the key, whole and alone.")


def _tags(record: str) -> dict[str, str]:
    """The tags of a DKIM record that matter, without the blanks that their values may hold."""
    pairs = (part.partition("=") for part in record.split(";") if part.strip())
    tags = {"v": "DKIM1", "k": "rsa"} | {name.strip().lower(): "".join(value.split()) for name, _, value in pairs}
    return {name: tags.get(name, "") for name in ("v", "k", "p")}


def _dmarc(lookup: Lookup, record: DnsRecord, settings: Settings) -> Finding:
    """The policy of a domain, or of the nearest above it that has one."""
    labels = record.name.split(".")[1:]
    for begin in range(len(labels) - FEWEST_LABELS + 1):
        texts = lookup.texts(".".join(["_dmarc", *labels[begin:]]))
        policies = [text for text in texts if text.lower().replace(" ", "").startswith("v=dmarc1")]
        if len(policies) > 1:
            return Finding(Presence.DIFFERENT, policies, "There are several DMARC records: receivers take none.")
        if policies:
            return Finding(Presence.PRESENT, policies)
    return Finding(Presence.MISSING, fault="Neither the domain nor one above it has a DMARC record.")


def _bounces(lookup: Lookup, record: DnsRecord, settings: Settings) -> Finding:
    exchanges = lookup.exchanges(record.name)
    host = record.value.split()[1]
    if not exchanges:
        return Finding(Presence.MISSING, fault=f"{record.name} has no MX record, so failures cannot be reported to it.")
    hosts = [exchange.split()[1] for exchange in exchanges]
    if host != PLACEHOLDER_HOST and host not in hosts:
        fault = f"Mail to {record.name} goes elsewhere than to {host}. It will do only if that server passes it on."
        return Finding(Presence.DIFFERENT, exchanges, fault)
    return Finding(Presence.PRESENT, exchanges)


def _reverse(lookup: Lookup, record: DnsRecord, settings: Settings) -> Finding:
    """Each address of a mail server must have a name that leads back to it (RFC 1912, 2.1)."""
    addresses = lookup.addresses(record.name)
    if not addresses:
        return Finding(Presence.MISSING, fault=f"{record.name} has no address.")
    public = [
        address for address in addresses if settings.allow_private_addresses or is_public(ipaddress.ip_address(address))
    ]
    if not public:
        return Finding(Presence.UNKNOWN, fault=f"{record.name} is in a private network: its public address counts.")
    names = {address: lookup.names_of(address) for address in public}
    values = [f"{address} {name}" for address in public for name in names[address]]
    if unnamed := [address for address in public if not names[address]]:
        return Finding(Presence.MISSING, values, f"{', '.join(unnamed)} has no reverse name.")
    astray = [address for address in public if not any(address in lookup.addresses(name) for name in names[address])]
    if astray:
        return Finding(Presence.DIFFERENT, values, f"The reverse name of {', '.join(astray)} does not lead back to it.")
    return Finding(Presence.PRESENT, values)


CHECKS: dict[Purpose, Callable[[Lookup, DnsRecord, Settings], Finding]] = {
    Purpose.SPF: _spf,
    Purpose.DKIM: _dkim,
    Purpose.DMARC: _dmarc,
    Purpose.BOUNCES: _bounces,
    Purpose.REVERSE_NAME: _reverse,
}
