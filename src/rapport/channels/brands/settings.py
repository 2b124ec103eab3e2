"""The settings of brands, and what of them holds for an e-mail channel."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, field_validator

from rapport.channels.kinds.base import secret_members
from rapport.channels.settings import MAIL_PLACE, EmailSettings, MailSettings

LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN = re.compile(rf"(?=.{{1,253}}\Z)(?:{LABEL}\.)+(?![0-9]+\Z){LABEL}\Z")
WEB_ADDRESS = re.compile(r"https?://[^\s/\"'<>\\\[\]]+(?:/[^\s\"'<>\\\[\]]*)?", re.IGNORECASE)
# A mail server with its login: taken whole, from the channel or from the brand.
SERVER = ("host", "port", "security", "username", "password")


class BrandSettings(MailSettings):
    """How mail of a brand leaves, and as whom, where its channel says nothing else; and what holds for all of it.

    bounce_domain: where failures of its mail are reported to; empty: to the sender's address. tracking: whether opens
    and clicks are counted. postal_address: where the company is, which marketing mail has to say in many countries.
    logo_url, website_url and the colours are what templates and the pages for recipients show of the brand.
    """

    bounce_domain: str = Field("", max_length=253)
    tracking: bool = True
    postal_address: str = Field("", max_length=1000)
    logo_url: str = Field("", max_length=1000)
    website_url: str = Field("", max_length=1000)
    color: str = Field("#1f5fbf", pattern=r"^#[0-9a-fA-F]{6}$")
    text_color: str = Field("#1f2933", pattern=r"^#[0-9a-fA-F]{6}$")

    @field_validator("bounce_domain")
    @classmethod
    def _domain(cls, value: str) -> str:
        domain = value.strip().lower().rstrip(".")
        if domain and not DOMAIN.match(domain):
            raise ValueError("must be a domain such as bounces.shop.example")
        return domain

    @field_validator("logo_url", "website_url")
    @classmethod
    def _address(cls, value: str) -> str:
        address = value.strip()
        if address and not WEB_ADDRESS.fullmatch(address):
            raise ValueError("must be an address that begins with https:// or http://")
        return address


@dataclass(frozen=True)
class _BrandForm:
    """What is known of the settings of brands: see settings.SettingsForm."""

    settings: type[BaseModel] = BrandSettings
    secret_place: tuple[str, ...] = MAIL_PLACE
    fault: str = ""

    @property
    def secrets(self) -> frozenset[str]:
        """Those that the model declares."""
        return secret_members(BrandSettings)


FORM = _BrandForm()


def secret_settings() -> frozenset[str]:
    """The settings of brands that are secret."""
    return FORM.secrets


def joined(channel: EmailSettings, brand: Mapping[str, Any]) -> EmailSettings:
    """The settings of a channel with those of its brand, as they are stored, where the channel has none.

    The mail server is whole the channel's or the brand's.
    """
    shared = {name: value for name, value in brand.items() if name in MailSettings.model_fields}
    if channel.host:
        shared = {name: value for name, value in shared.items() if name not in SERVER}
    own = {name: value for name, value in channel.model_dump(exclude_unset=True).items() if value not in ("", None)}
    if shared.get("host"):
        own = {name: value for name, value in own.items() if name not in SERVER}
    return EmailSettings.model_validate(shared | own)
