"""A command's way to the management API: the server that runs on the folder, else one for the command's length."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from rapport.access.operator import TENANT_HEADER
from rapport.commands import server_file
from rapport.commands.output import Tell, errors
from rapport.commands.patience import once_free
from rapport.errors import Held, RapportError, Unavailable
from rapport.settings import Settings


@dataclass(frozen=True)
class Connection:
    """Calls of the management API as the operator."""

    client: httpx.Client

    def call(self, method: str, path: str, tenant: str | None = None, body: Any = None) -> Any:
        """One call; the JSON answer. Raises RapportError with the answer's sentence."""
        answer = self.client.request(method, path, json=body, headers=self._headers(tenant))
        if answer.is_error:
            raise _error(answer)
        return answer.json() if answer.content else None

    def follow(self, path: str, tell: Tell, tenant: str | None = None, body: Any = None) -> Any:
        """Long work that is answered as JSON lines: tells how far it is, answers its result. Raises RapportError."""
        with self.client.stream("POST", path, json=body or {}, headers=self._headers(tenant)) as answer:
            if answer.is_error:
                answer.read()
                raise _error(answer)
            for line in answer.iter_lines():
                message = orjson.loads(line)
                if "error" in message:
                    raise RapportError(message["error"]["detail"])
                if "result" in message:
                    return message["result"]
                tell(message["done"], message["total"])
        raise Unavailable(
            "The server stopped before the work was done. Start the server and repeat the command; that is safe."
        )

    def tenant(self, reference: str) -> str:
        """The id of the tenant that a command is about to act on, which is told on standard error. Raises RapportError.

        The command acts by this id: a name may be another's a moment later.
        """
        chosen = self.call("GET", "/manage/v1/tenants/current", reference)
        errors.print(f"Tenant {chosen['id']}: {chosen['name']!r}", markup=False, emoji=False)
        return str(chosen["id"])

    def _headers(self, tenant: str | None) -> dict[str, str]:
        return {TENANT_HEADER: tenant} if tenant else {}


def _error(answer: httpx.Response) -> RapportError:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = f"The server answered {answer.status_code}."
    return RapportError(detail)


@contextmanager
def connected(
    settings: Settings, *, working: bool = False, upgrading: bool = False, access: bool = False
) -> Iterator[Connection]:
    """A connection for a command. working also carries out durable work when no server does; upgrading also brings
    engines by URL to the newest schema, as every command does with those of a folder. access: only for calls about
    tenants and keys, which begin sooner.

    Waits for a server that is starting or ending, and for another command. Raises Unavailable as open_stores does.
    """
    with ExitStack() as stack:
        try:
            running = once_free(
                lambda: _running(settings) or stack.enter_context(_private(settings, working, upgrading, access))
            )
        except Held as held:
            if not held.serving:
                raise
            raise Unavailable(f"{held.process} is a server that is not ready yet: try again in a moment.") from held
        yield Connection(stack.enter_context(_client(running)))


def _running(settings: Settings) -> server_file.Running | None:
    return None if settings.by_url else server_file.read(settings.data_dir.expanduser())


def _private(
    settings: Settings, working: bool, upgrading: bool, access: bool
) -> AbstractContextManager[server_file.Running]:
    # Commands that talk to a server need nothing of all that a server is made of.
    from rapport.commands.private import private_server

    return private_server(settings, working=working, upgrading=upgrading, access=access)


@contextmanager
def _client(running: server_file.Running) -> Iterator[httpx.Client]:
    # Long work tells of itself as it goes, but a step of it may take as long as it takes.
    timeout = httpx.Timeout(30, read=None)
    try:
        with httpx.Client(
            base_url=running.base_url, headers=running.headers, timeout=timeout, trust_env=False
        ) as client:
            yield client
    except httpx.TransportError as error:
        raise Unavailable("The server ended before it answered: start it again.") from error
