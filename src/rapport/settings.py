"""Configuration: RAPPORT_* environment variables, each with a default that works on one machine."""

import ipaddress
import os
import socket
import uuid
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from rapport.errors import Invalid

MACHINE_ID = Path("/etc/machine-id")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# So many keys of a tenant can be at their limit at the same time.
USUAL_BUSY_KEYS = 10
DNS_PORT = 53
ROLES = ("api", "worker", "scheduler", "console")


def default_data_dir() -> Path:
    """/var/lib/rapport for root (whose home must stay closed to the database's user), else ~/.rapport.

    Raises Invalid for a user without a home.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/rapport")
    try:
        return Path.home() / ".rapport"
    except RuntimeError as error:
        raise Invalid("This user has no home folder: give --data-dir a folder, or set RAPPORT_DATA_DIR.") from error


class Settings(BaseSettings):
    """Everything an operator can set. URLs left empty mean the embedded engines in data_dir."""

    model_config = SettingsConfigDict(env_prefix="RAPPORT_")

    data_dir: Path = Field(default_factory=default_data_dir)
    records_url: str = ""
    warehouse_url: str = ""
    host: str = "127.0.0.1"
    port: int = Field(8600, ge=0, le=65_535)
    roles: str = ",".join(ROLES)
    process_name: str = ""
    rate_limit_calls: int = 50
    rate_limit_seconds: int = 10
    tenant_rate_limit_calls: int | None = Field(None, ge=0)
    max_page: int = 10_000
    max_execution_page: int = 200_000
    max_body_bytes: int = 16 * 1024 * 1024
    head_seconds: float = Field(20.0, gt=0)
    body_seconds: float = Field(30.0, gt=0)
    max_connections: int = Field(1000, ge=1)
    operator_networks: str = ""
    trusted_proxies: str = "127.0.0.1,::1"
    legacy_login: bool = False
    allow_private_addresses: bool = False
    files_dir: Path | None = None
    bucket_schemes: str = "gs,s3"
    bucket_endpoints: str = ""
    bucket_folder: Path | None = None
    kept_dir: Path | None = None
    backup_dir: Path | None = None
    backup_key: SecretStr = SecretStr("")
    backup_key_file: Path | None = None
    kept_days: int = Field(400, ge=1)
    records_connections: int = Field(0, ge=0)
    work_connections: int = Field(10, ge=4)
    outage_hours: float = Field(24.0, ge=0)
    outbound: Literal["on", "off"] = "on"
    smtp_url: str = "smtp://127.0.0.1:25"
    mail_from: str = "rapport@localhost"
    dns_servers: str = ""
    apns_url: str = "https://api.push.apple.com"
    apns_sandbox_url: str = "https://api.sandbox.push.apple.com"
    fcm_url: str = "https://fcm.googleapis.com"
    fcm_token_url: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
    hms_url: str = "https://push-api.cloud.huawei.com"
    hms_token_url: str = "https://oauth-login.cloud.huawei.com/oauth2/v3/token"  # noqa: S105 - an address
    public_url: str = ""
    bounce_port: int = Field(0, ge=0, le=65_535)
    bounce_host: str = "127.0.0.1"
    bounce_protocol: Literal["smtp", "lmtp"] = "smtp"
    query_memory_bytes: int = 3_000_000_000
    query_threads: int = 0
    secret_key: SecretStr = SecretStr("")
    secret_key_file: Path | None = None
    log_level: str = "INFO"

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for address in filter(None, map(str.strip, value.split(","))):
            try:
                ipaddress.ip_network(address)
            except ValueError as error:
                raise ValueError(f"{address!r} is not an address or an address range") from error
        return value

    @field_validator("dns_servers")
    @classmethod
    def _name_servers(cls, value: str) -> str:
        _server_list(value)
        return value

    @property
    def dns_server_list(self) -> list[tuple[str, int]]:
        """The addresses and ports of dns_servers."""
        return _server_list(self.dns_servers)

    @property
    def by_url(self) -> bool:
        """Whether both engines run elsewhere, so that no data folder is opened here."""
        return bool(self.records_url and self.warehouse_url)

    @property
    def tenant_calls(self) -> int:
        """How many calls all keys of a tenant have together in the window of rate limits; 0 means no limit."""
        usual = USUAL_BUSY_KEYS * self.rate_limit_calls
        return usual if self.tenant_rate_limit_calls is None else self.tenant_rate_limit_calls

    @property
    def most_connections(self) -> int:
        """How many connections to the records this process may open beside those of durable work."""
        return self.records_connections or (20 if self.records_url else 40)

    @property
    def kept_folder(self) -> Path:
        """Where erasures and opt-outs are kept beside the data: kept_dir, or the data folder's name and `.kept`.

        Where this user can make no such folder it is inside the data folder, so that nobody has to wait for an erasure.
        """
        if self.kept_dir is not None:
            return self.kept_dir.expanduser()
        folder = self.data_dir.expanduser().resolve()
        beside = folder.with_name(folder.name + ".kept")
        return beside if beside.exists() or os.access(folder.parent, os.W_OK) else folder / "kept"

    @property
    def upgrade_backups(self) -> Path:
        """Where a backup is written before the schema changes: backup_dir, or a folder in the data folder."""
        return self.backup_dir.expanduser() if self.backup_dir else self.data_dir.expanduser() / "backups"

    @property
    def process(self) -> str:
        """The name under which this process takes durable work up again: the same after a restart, no two alike.

        Without a name of its own it is that of the host, with what else tells the processes of a host apart: the port,
        and the roles of one that carries out no work.
        """
        if self.process_name:
            return self.process_name
        if not self.by_url:
            return "rapport"
        roles = roles_of(self)
        return "-".join([_host(), str(self.port), *([] if "worker" in roles else sorted(roles))])

    @property
    def links_url(self) -> str:
        """Where links in messages lead: public_url, or the address that the server listens on."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


def _server_list(addresses: str) -> list[tuple[str, int]]:
    """Addresses, each with a port or without one, as pairs. Raises ValueError."""
    pairs = []
    for address in filter(None, map(str.strip, addresses.split(","))):
        bare = address.count(":") > 1 and "]" not in address
        parts = urlsplit(f"//[{address}]" if bare else f"//{address}")
        try:
            pairs.append((str(ipaddress.ip_address(parts.hostname or "")), parts.port or DNS_PORT))
        except ValueError as error:
            raise ValueError(f"{address!r} is not an address, or an address and a port") from error
    return pairs


def networks_of(settings: Settings) -> tuple[Network, ...]:
    """From where /docs, /ready and /metrics are answered; empty means from anywhere. Raises Invalid."""
    try:
        networks = [part.strip() for part in settings.operator_networks.split(",") if part.strip()]
        return tuple(ipaddress.ip_network(part) for part in networks)
    except ValueError as error:
        raise Invalid(f"RAPPORT_OPERATOR_NETWORKS must be address ranges, separated by commas: {error}.") from error


def _host() -> str:
    """The name of this machine, with a number of its own where it is one that every machine has."""
    name = socket.gethostname() or "localhost"
    if name.partition(".")[0] != "localhost":
        return name
    try:
        number = MACHINE_ID.read_text().strip()[:12]
    except OSError:
        number = ""
    return f"{name}-{number or format(uuid.getnode(), '012x')}"


def roles_of(settings: Settings) -> frozenset[str]:
    """What a process is to do. Raises Invalid for an unknown role."""
    roles = frozenset(role.strip() for role in settings.roles.split(",") if role.strip())
    unknown = roles - set(ROLES)
    if unknown or not roles:
        raise Invalid(f"roles must be some of {', '.join(ROLES)}, not {', '.join(sorted(unknown)) or 'none'}.")
    return roles
