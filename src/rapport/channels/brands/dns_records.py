"""The DNS records that a brand's mail needs: who may send it, how it is signed, where failures go."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.brands.addresses import addresses
from rapport.channels.brands.brands import mail_settings
from rapport.channels.brands.dkim_keys import dkim_keys, record_of
from rapport.channels.brands.models import AddressRole, Brand
from rapport.channels.brands.settings import DOMAIN
from rapport.channels.email import effective
from rapport.channels.senders import domain_of
from rapport.hosts import is_public

# What providers have their customers put into SPF records, by the end of their servers' names.
OF_PROVIDERS = {
    ".amazonaws.com": "include:amazonses.com",
    ".sendgrid.net": "include:sendgrid.net",
    ".mailgun.org": "include:mailgun.org",
    ".postmarkapp.com": "include:spf.mtasv.net",
    ".mailjet.com": "include:spf.mailjet.com",
    ".gmail.com": "include:_spf.google.com",
    ".office365.com": "include:spf.protection.outlook.com",
}
PLACEHOLDER, PLACEHOLDER_HOST = "ip4:ADDRESS", "HOST"
MX_PREFERENCE = 10


class Purpose(StrEnum):
    """What a record is for."""

    SPF = "spf"
    DKIM = "dkim"
    DMARC = "dmarc"
    BOUNCES = "bounces"
    REVERSE_NAME = "reverse name"


class RecordType(StrEnum):
    """The type of a record."""

    TXT = "TXT"
    MX = "MX"
    PTR = "PTR"


@dataclass(frozen=True)
class DnsRecord:
    """A record to set: its name, what it says, and why. Of a reverse name, name is the host whose addresses need it."""

    purpose: Purpose
    type: RecordType
    name: str
    value: str
    note: str


def records_of(scope: Scope, brand: Brand) -> list[DnsRecord]:
    """The records that mail of a brand needs, for every domain that it is sent from. Raises Invalid."""
    domains = sender_domains(scope, brand)
    hosts = mail_hosts(scope, brand)
    bounce_domain = brand.settings.get("bounce_domain", "")
    return [
        *(_spf(domain, hosts) for domain in ([bounce_domain] if bounce_domain else domains)),
        *_dkim(scope, brand, domains),
        *(_dmarc(domain) for domain in domains),
        *_bounces(scope, bounce_domain),
        *(_reverse(host) for host in hosts if not _of_provider(host) and not is_local(host)),
    ]


def sender_domains(scope: Scope, brand: Brand) -> list[str]:
    """The domains that a brand has addresses of to send from, in alphabetical order."""
    senders = addresses(scope, brand.id, AddressRole.FROM)
    return sorted({domain_of(sender.address) for sender in senders})


def mail_hosts(scope: Scope, brand: Brand) -> list[str]:
    """The mail servers, by name or address, over which mail of a brand leaves. Raises Invalid for a wrong setting."""
    of_brand = [
        channel.settings for channel in channels.channels(scope) if channel.settings.get("brand_id") == brand.id
    ]
    ways = [effective(mail_settings(settings, brand), scope.stores.settings) for settings in of_brand or [{}]]
    return sorted({mail.host.lower().rstrip(".") for mail in ways})


def is_local(host: str) -> bool:
    """Whether a mail server is this machine, or one of a private network, whose public address is not known here."""
    try:
        return not is_public(ipaddress.ip_address(host))
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".localhost"))


def _spf(domain: str, hosts: list[str]) -> DnsRecord:
    mechanisms = list(dict.fromkeys(_mechanism(host) for host in hosts))
    note = f"Says which servers may send mail whose failures are reported to {domain}. A domain has one such record."
    if PLACEHOLDER in mechanisms:
        note += " Replace ADDRESS by the public address of the machine that sends."
    return DnsRecord(Purpose.SPF, RecordType.TXT, domain, " ".join(["v=spf1", *mechanisms, "~all"]), note)


def _mechanism(host: str) -> str:
    """What lets a mail server send, in an SPF record (RFC 7208)."""
    if of_provider := _of_provider(host):
        return of_provider
    if is_local(host):
        return PLACEHOLDER
    try:
        return f"ip{ipaddress.ip_address(host).version}:{host}"
    except ValueError:
        return f"a:{host}"


def _of_provider(host: str) -> str:
    return next((mechanism for end, mechanism in OF_PROVIDERS.items() if host.endswith(end)), "")


def _dkim(scope: Scope, brand: Brand, domains: list[str]) -> Iterator[DnsRecord]:
    for key in dkim_keys(scope, brand.id):
        note = f"The public half of the {key.state} key {key.selector}. Receivers check signatures with it."
        for domain in domains:
            name = f"{key.selector}._domainkey.{domain}"
            yield DnsRecord(Purpose.DKIM, RecordType.TXT, name, record_of(key), note)


def _dmarc(domain: str) -> DnsRecord:
    note = (
        "Says what receivers do with mail that fails both SPF and DKIM, and where they send reports. A policy of a "
        "domain above this one will do. Begin with p=none, and tighten it when the reports show only your own mail."
    )
    value = f"v=DMARC1; p=none; rua=mailto:dmarc@{domain}"
    return DnsRecord(Purpose.DMARC, RecordType.TXT, f"_dmarc.{domain}", value, note)


def _bounces(scope: Scope, bounce_domain: str) -> Iterator[DnsRecord]:
    if bounce_domain:
        host = urlsplit(scope.stores.settings.links_url).hostname or ""
        note = "Leads failures that are reported later to Rapport, or to the server that passes them on to it."
        if not DOMAIN.match(host):
            host, note = PLACEHOLDER_HOST, f"{note} Replace {PLACEHOLDER_HOST} by the name of that server."
        yield DnsRecord(Purpose.BOUNCES, RecordType.MX, bounce_domain, f"{MX_PREFERENCE} {host}", note)


def _reverse(host: str) -> DnsRecord:
    note = "The address of the mail server must have a name that leads back to it. Whoever lends the address sets it."
    return DnsRecord(Purpose.REVERSE_NAME, RecordType.PTR, host, host, note)
