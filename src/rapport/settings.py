"""Configuration: RAPPORT_* environment variables, each with a default that works on one machine."""

import os
import socket
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from rapport.errors import Invalid

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
    max_page: int = 10_000
    max_execution_page: int = 200_000
    max_body_bytes: int = 32 * 1024 * 1024
    legacy_login: bool = False
    allow_private_addresses: bool = False
    files_dir: Path | None = None
    kept_dir: Path | None = None
    kept_days: int = Field(400, ge=1)
    smtp_url: str = "smtp://127.0.0.1:25"
    mail_from: str = "rapport@localhost"
    public_url: str = ""
    query_memory_bytes: int = 3_000_000_000
    query_threads: int = 0
    log_level: str = "INFO"

    @property
    def by_url(self) -> bool:
        """Whether both engines run elsewhere, so that no data folder is opened here."""
        return bool(self.records_url and self.warehouse_url)

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
    def process(self) -> str:
        """The name under which this process takes durable work up again: the same after a restart, no two alike."""
        if self.process_name:
            return self.process_name
        return f"{socket.gethostname()}-{self.port}" if self.by_url else "rapport"

    @property
    def links_url(self) -> str:
        """Where links in messages lead: public_url, or the address that the server listens on."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


def roles_of(settings: Settings) -> frozenset[str]:
    """What a process is to do. Raises Invalid for an unknown role, or a part of them on embedded engines."""
    roles = frozenset(role.strip() for role in settings.roles.split(",") if role.strip())
    unknown = roles - set(ROLES)
    if unknown or not roles:
        raise Invalid(f"roles must be some of {', '.join(ROLES)}, not {', '.join(sorted(unknown)) or 'none'}.")
    if roles != set(ROLES) and not settings.by_url:
        raise Invalid(
            "A process with some roles only needs RAPPORT_RECORDS_URL and RAPPORT_WAREHOUSE_URL: "
            "embedded engines serve one process."
        )
    return roles
