"""Where a server listens, and server.json in the data folder: how commands find the server that runs on it."""

import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import psutil

from rapport import private
from rapport.access.operator import OPERATOR_HEADER
from rapport.errors import Unavailable

NAME = "server.json"
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - what such an address means


@dataclass(frozen=True)
class Running:
    """A server: its process, where it listens, and the token of this run for the operator."""

    pid: int
    base_url: str
    token: str

    def answers(self) -> bool:
        """Whether that process lives and answers there."""
        if not psutil.pid_exists(self.pid):
            return False
        try:
            return httpx.get(f"{self.base_url}/health", timeout=5, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    @property
    def headers(self) -> dict[str, str]:
        """What makes a request the operator's."""
        return {OPERATOR_HEADER: self.token}


def address(host: str, port: int) -> str:
    """The base URL that reaches a listening host from this machine."""
    reachable = ANYWHERE.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one. Raises Unavailable."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
        # Its connections inherit it: an answer's last part would wait for the caller's delayed acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number and number > 0 else str(error)
        raise Unavailable(f"Cannot listen on {host}:{port}: {reason.removesuffix('.')}.") from error


def this_process(base_url: str) -> Running:
    """This process as a server, with a new token."""
    return Running(os.getpid(), base_url, secrets.token_urlsafe(32))


def write(data_dir: Path, running: Running) -> None:
    """Tell commands of a server; only this user can read the file."""
    aside = data_dir / f"{NAME}.part"
    with open(aside, "w", opener=private.opener) as file:
        json.dump(asdict(running), file)
    aside.replace(data_dir / NAME)


def remove(data_dir: Path) -> None:
    """Tell no more of a server."""
    (data_dir / NAME).unlink(missing_ok=True)


def read(data_dir: Path) -> Running | None:
    """The server that the folder tells of, if it answers; what a killed one left is passed over."""
    try:
        running = Running(**json.loads((data_dir / NAME).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return running if running.answers() else None
