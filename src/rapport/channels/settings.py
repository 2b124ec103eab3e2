"""The settings of channels and brands, checked when they are saved, and those of e-mail."""

import re
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rapport.channels.kinds.base import Secret
from rapport.channels.rate_plans import RatePlan
from rapport.errors import Invalid
from rapport.masks import kept
from rapport.wording import refused

MASK = "********"
# One address of printable ASCII, without anything that could begin another recipient or header.
ADDRESS = re.compile(r"(?![.])[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")


# Where a mail password is sent, and how: elsewhere it is not sent unless it is entered again.
MAIL_PLACE = ("host", "port", "username", "security")


class MailSettings(BaseModel):
    """How e-mail leaves, and as whom. Without a host the server's own mail settings are used.

    security: tls from the first byte; starttls, without which nothing is sent; or opportunistic, which encrypts where
    the server offers it, whatever its certificate, and logs in over TLS only.
    """

    model_config = ConfigDict(extra="forbid")

    host: str = Field("", max_length=253)
    port: int = Field(25, ge=1, le=65535)
    security: Literal["none", "opportunistic", "starttls", "tls"] = "none"
    username: str = Field("", max_length=320)
    password: Secret = Field("", max_length=1000)
    from_address: str = Field("", max_length=320)
    from_name: str = Field("", max_length=200, pattern=r"^[^\r\n]*$")
    reply_to: str = Field("", max_length=320)
    connections: int = Field(8, ge=1, le=64)
    timeout_seconds: float = Field(30, gt=0, le=300)
    rate_plan: RatePlan | None = None
    provider: Literal["", "ses", "sendgrid", "mailgun", "postmark", "sparkpost"] = ""
    events_key: Secret = Field("", max_length=2000)

    @field_validator("from_address", "reply_to")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not ADDRESS.match(value):
            raise ValueError("must be an e-mail address")
        return value


class EmailSettings(MailSettings):
    """How e-mail leaves on a channel. What it does not set is as its brand has it."""

    brand_id: int | None = Field(None, ge=1, le=2**31 - 1)
    tracking: bool | None = None


class SettingsForm(Protocol):
    """What is known of the settings of something: their model, which are secret, where those are sent, and why nobody
    can judge them, if so. A kind of channel is one.
    """

    @property
    def settings(self) -> type[BaseModel]:
        """The model."""

    @property
    def secrets(self) -> frozenset[str]:
        """The settings that are secret."""

    @property
    def secret_place(self) -> tuple[str, ...]:
        """The settings that say where the secrets are sent."""

    @property
    def fault(self) -> str:
        """A sentence, or nothing."""


def checked(form: SettingsForm, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as they are stored: only what was set. Raises Invalid naming the setting."""
    try:
        return form.settings.model_validate(settings).model_dump(exclude_unset=True)
    except ValidationError as error:
        raise Invalid(refused(error, form.settings, settings, "settings")) from error


def masked(form: SettingsForm, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as they may be shown: secrets are replaced, and all of a form of which nobody knows which are secret."""
    return {name: MASK if value and (name in form.secrets or form.fault) else value for name, value in settings.items()}


def merged(form: SettingsForm, present: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """New settings in place of the present ones, as they are stored; a secret given masked keeps its present value.

    It does so only for the server and the login that it was entered for. Raises Invalid naming the setting.
    """
    stored = checked(form, new)
    for name in form.secrets:
        if stored.get(name) == MASK:
            same_place = name in present and _place(form, stored) == _place(form, present)
            same_members = " or ".join(filter(None, [", ".join(form.secret_place[:-1]), *form.secret_place[-1:]]))
            stored[name] = kept(f"settings.{name}", MASK, present.get(name), same_members, same_place=same_place)
    return stored


def _place(form: SettingsForm, settings: dict[str, Any]) -> tuple[Any, ...]:
    """Where secrets of settings go, and how."""
    whole = form.settings.model_validate(settings)
    return tuple(getattr(whole, name) for name in form.secret_place)
