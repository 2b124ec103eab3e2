"""A tenant with an app, an in-app channel with a template, and customers who have the app, or have it and said no."""

import base64
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rapport.access.scope import Scope
from rapport.apps import definitions
from rapport.apps.models import App, Install
from rapport.channels import service as channels
from rapport.messaging import templates

CHANNEL = 427
AT = datetime(2026, 3, 2, 14, tzinfo=UTC)
numbers = itertools.count(1)
DETAILS = {
    "presented_when": "next-open",
    "content": {"title": "Hi [%FIRST_NAME:there%]", "buttons": [{"label": "Go", "actions": []}]},
    "data": {"sku": "[%PROMO_CODE:none%]"},
    "ttl": {"expires_in": 7, "units": "d"},
    "inbox": {"title": "Dear [%FIRST_NAME:customer%]", "subtitle": "News", "from": "2026-01-01T00:00:00Z"},
    "badge": {"inc": 1},
}


@dataclass(frozen=True)
class World:
    """The app with its keys."""

    scope: Scope
    app: App
    secret_key: str
    server_key: str

    @property
    def device(self) -> dict[str, str]:
        """Headers of a device."""
        return basic(self.app.api_key, self.secret_key)

    @property
    def server(self) -> dict[str, str]:
        """Headers of the company's server."""
        return basic(self.app.api_key, self.server_key)


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def world(scope: Scope, **settings: Any) -> World:
    """A channel of the well-known id with template 1, and an app."""
    made = definitions.create_app(scope, f"Shop {next(numbers)}", {}, for_web=False)
    channels.create_channel(scope, "In-app", "in_app", settings=settings)
    templates.save_template(scope, CHANNEL, "Welcome", id=1, details=DETAILS)
    return World(scope, made.app, str(made.secret_key), str(made.server_key))


def installed(w: World, customer_id: str | None, *, consent: bool | None = True, **members: Any) -> Install:
    """An install of a customer, or of nobody known."""
    install = Install(
        tenant_id=w.scope.tenant_id,
        app_id=w.app.id,
        install_id=members.pop("install_id", f"install-{next(numbers)}"),
        customer_id=customer_id,
        person=customer_id and customer_id.lower(),
        in_app_consent=consent,
        created_at=AT,
        seen_at=AT,
        **members,
    )
    with w.scope.records() as session:
        session.add(install)
    return install
