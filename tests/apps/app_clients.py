"""Apps of a test's tenant, and clients that call as their devices and servers."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.apps.devices import Device
from rapport.apps.models import Install

POINT = "B" + "A" * 86  # 65 bytes in base64url
SECRET = "A" * 22  # 16 bytes


@dataclass
class AppClient:
    """An app of a tenant: a client with its secret key, and one with its server key."""

    scope: Scope
    id: int
    api_key: str
    secret_key: str
    server_key: str
    device: httpx.Client
    server: httpx.Client

    def sent(self, install_id: str, *events: Any, **headers: str) -> httpx.Response:
        """What the bus answers to events."""
        return self.device.post(f"/v1/app-installs/{install_id}/events", json=list(events), headers=headers)

    def tell(self, install_id: str, event_type: str, data: Any = None, **members: Any) -> None:
        """Send one good event."""
        answer = self.sent(install_id, event(event_type, data, **members))
        assert (answer.status_code, answer.json()["message"]) == (200, "1 of 1 events"), answer.text

    def install(self, install_id: str) -> Install | None:
        """An install as it is stored."""
        with self.scope.reads() as session:
            return session.scalar(
                select(Install).filter_by(tenant_id=self.scope.tenant_id, app_id=self.id, install_id=install_id)
            )


def event(event_type: str, data: Any = None, **members: Any) -> dict[str, Any]:
    """An event as the SDKs write it."""
    now = int(time.time() * 1000)
    return {"type": event_type, "uuid": str(uuid.uuid4()), "timestamp": now, "data": data} | members


def device_of(install: Install) -> Device:
    """An install as push services are asked about it."""
    return Device(*(getattr(install, name) for name in Device._fields))


def milliseconds(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp() * 1000)


def subscription(endpoint: str) -> dict[str, Any]:
    """A PushSubscription of a browser."""
    return {"endpoint": endpoint, "expirationTime": None, "keys": {"p256dh": POINT, "auth": SECRET}}


@contextmanager
def app_client(api: httpx.Client, scope: Scope, **members: Any) -> Iterator[AppClient]:
    """A new app of a tenant, whose management client is given."""
    app = api.post("/manage/v1/apps", json={"name": f"App {uuid.uuid4()}"} | members).raise_for_status().json()
    keys = [app[name] for name in ("api_key", "secret_key", "server_key")]
    device, server = (httpx.Client(base_url=api.base_url, auth=(keys[0], key), timeout=60) for key in keys[1:])
    with device, server:
        yield AppClient(scope, app["id"], *keys, device, server)
