"""An app with installs, and a channel that reaches them."""

import uuid
from typing import Any

from push_services import APPLE_PEM, SERVICE_ACCOUNT
from sqlalchemy import delete, select

from rapport.access.scope import Scope
from rapport.apps import definitions
from rapport.apps.models import Install
from rapport.apps.states import TokenType
from rapport.channels import service as channels
from rapport.channels.models import Channel

PUSH = 506
ACCOUNTS = {
    "apns_key": APPLE_PEM,
    "apns_key_id": "KEY1",
    "apns_team_id": "TEAM1",
    "apns_topic": "example.shop",
    "fcm_service_account": SERVICE_ACCOUNT,
    "hms_app_id": "10086",
    "hms_app_secret": "hush",
    "contact": "mailto:push@shop.example",
}


def add_app(scope: Scope, name: str = "Shop") -> int:
    return definitions.create_app(scope, name, {}, for_web=False).app.id


def add_channel(scope: Scope, **settings: Any) -> Channel:
    return channels.create_channel(scope, "Push", "push", settings={**ACCOUNTS, **settings})


def add_install(
    scope: Scope, app_id: int, customer_id: str | None, token: str | None, token_type: int = TokenType.APNS, **more: Any
) -> str:
    """An install with a token; its id."""
    install_id = more.pop("install_id", None) or uuid.uuid4().hex
    now = scope.clock.now()
    with scope.records() as session:
        session.add(
            Install(
                tenant_id=scope.tenant_id,
                app_id=app_id,
                install_id=install_id,
                customer_id=customer_id,
                person=customer_id.lower() if customer_id else None,
                token=token,
                token_type=token_type if token else None,
                token_key=uuid.uuid4().hex if token else None,
                created_at=now,
                seen_at=now,
                **more,
            )
        )
    return install_id


def install(scope: Scope, install_id: str) -> Install:
    with scope.records() as session:
        return session.scalars(select(Install).where(Install.install_id == install_id)).one()


def no_installs(scope: Scope) -> None:
    with scope.records() as session:
        session.execute(delete(Install).where(Install.tenant_id == scope.tenant_id))
