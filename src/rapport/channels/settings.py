"""The settings of each kind of channel, checked when a channel is saved."""

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rapport.errors import Invalid

SECRETS = ("password",)
MASK = "********"
# One address of printable ASCII, without anything that could begin another recipient or header.
ADDRESS = re.compile(r"(?![.])[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")


class EmailSettings(BaseModel):
    """How e-mail leaves. Without a host the server's own mail settings are used."""

    model_config = ConfigDict(extra="forbid")

    host: str = Field("", max_length=253)
    port: int = Field(25, ge=1, le=65535)
    security: Literal["none", "starttls", "tls"] = "none"
    username: str = Field("", max_length=320)
    password: str = Field("", max_length=1000)
    from_address: str = Field("", max_length=320)
    from_name: str = Field("", max_length=200, pattern=r"^[^\r\n]*$")
    reply_to: str = Field("", max_length=320)
    connections: int = Field(8, ge=1, le=64)
    timeout_seconds: float = Field(30, gt=0, le=300)

    @field_validator("from_address", "reply_to")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not ADDRESS.match(value):
            raise ValueError("must be an e-mail address")
        return value


class ExternalSettings(BaseModel):
    """An outside system that is told by a listener and pulls the list: nothing to set."""

    model_config = ConfigDict(extra="forbid")


KINDS: dict[str, type[BaseModel]] = {"email": EmailSettings, "external": ExternalSettings}


def checked(kind: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a channel as they are stored: only what was set. Raises Invalid naming the setting."""
    if kind not in KINDS:
        raise Invalid(f"kind must be one of {', '.join(KINDS)}.")
    try:
        return KINDS[kind].model_validate(settings).model_dump(exclude_unset=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"settings.{where}: {first['msg'].removeprefix('Value error, ').lower()}.") from error


def masked(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as they may be shown: secrets are replaced."""
    return {name: MASK if name in SECRETS and value else value for name, value in settings.items()}


def merged(present: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """New settings in place of the present ones; a secret given masked keeps its present value."""
    kept = {name: present[name] for name in SECRETS if new.get(name) == MASK and name in present}
    return {**new, **kept}
