"""The settings of channels, checked when a channel is saved, and those of e-mail."""

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rapport.channels.kinds.base import ChannelKind, Secret
from rapport.errors import Invalid
from rapport.stores.outside.masks import kept
from rapport.wording import refused

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
    password: Secret = Field("", max_length=1000)
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


def checked(kind: ChannelKind, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a channel as they are stored: only what was set. Raises Invalid naming the setting."""
    try:
        return kind.settings.model_validate(settings).model_dump(exclude_unset=True)
    except ValidationError as error:
        raise Invalid(refused(error, kind.settings, settings, "settings")) from error


def masked(kind: ChannelKind, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as they may be shown: secrets are replaced, and all of a kind of which nobody knows which are secret."""
    return {name: MASK if value and (name in kind.secrets or kind.fault) else value for name, value in settings.items()}


def merged(kind: ChannelKind, present: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """New settings in place of the present ones, as they are stored; a secret given masked keeps its present value.

    It does so only for the server and the login that it was entered for. Raises Invalid naming the setting.
    """
    stored = checked(kind, new)
    for name in kind.secrets:
        if stored.get(name) == MASK:
            same_place = name in present and _place(kind, stored) == _place(kind, present)
            same_members = " or ".join(filter(None, [", ".join(kind.secret_place[:-1]), *kind.secret_place[-1:]]))
            stored[name] = kept(f"settings.{name}", MASK, present.get(name), same_place, same_members)
    return stored


def _place(kind: ChannelKind, settings: dict[str, Any]) -> tuple[Any, ...]:
    """Where secrets of settings go, and how."""
    whole = kind.settings.model_validate(settings)
    return tuple(getattr(whole, name) for name in kind.secret_place)
