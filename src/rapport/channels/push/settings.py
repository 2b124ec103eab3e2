"""The settings of channels of push messages."""

from typing import Any, Literal

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import BaseModel, ConfigDict, Field

from rapport.channels.kinds.base import Secret
from rapport.errors import Invalid

ID = r"^[A-Za-z0-9._-]*$"


class PushSettings(BaseModel):
    """The accounts at the providers, each as far as the channel has devices of its kind.

    app_id: the channel reaches the devices of this app; without one, those of all apps. apns_topic is the bundle id
    of installs that told none. contact is whom providers of web push may turn to: mailto: or https:. accept_status is
    what Send Push answers for apps that this channel serves.
    """

    model_config = ConfigDict(extra="forbid")

    app_id: int | None = Field(None, ge=1, le=2**31 - 1)
    apns_key: Secret = Field("", max_length=5000)
    apns_key_id: str = Field("", max_length=50, pattern=ID)
    apns_team_id: str = Field("", max_length=50, pattern=ID)
    apns_topic: str = Field("", max_length=255, pattern=ID)
    fcm_service_account: Secret = Field("", max_length=20_000)
    hms_app_id: str = Field("", max_length=100, pattern=ID)
    hms_app_secret: Secret = Field("", max_length=1000)
    contact: str = Field("", max_length=320, pattern=r"^$|^(mailto:|https://)[^\s]+$")
    accept_status: Literal[200, 202] = 202
    timeout_seconds: float = Field(20, gt=0, le=120)

    @property
    def has_apns(self) -> bool:
        """Whether it reaches iOS."""
        return bool(self.apns_key and self.apns_key_id and self.apns_team_id)

    @property
    def has_hms(self) -> bool:
        """Whether it reaches devices of Huawei."""
        return bool(self.hms_app_id and self.hms_app_secret)


def check_accounts(settings: PushSettings) -> None:
    """Whether what was set of each account is whole and can be used. Raises Invalid naming the setting."""
    apns = {name: getattr(settings, f"apns_{name}") for name in ("key", "key_id", "team_id")}
    if any(apns.values()) and (missing := [name for name, value in apns.items() if not value]):
        raise Invalid(f"settings.apns_{missing[0]} is needed to reach iOS devices.")
    if settings.apns_key and not _is_key(settings.apns_key, EllipticCurvePrivateKey):
        raise Invalid("settings.apns_key must be the text of a .p8 file: a private key of the curve P-256 in PEM.")
    if settings.fcm_service_account:
        service_account(settings.fcm_service_account)
    if bool(settings.hms_app_id) != bool(settings.hms_app_secret):
        missing_one = "hms_app_secret" if settings.hms_app_id else "hms_app_id"
        raise Invalid(f"settings.{missing_one} is needed to reach devices of Huawei.")


def service_account(text: str) -> dict[str, Any]:
    """The file of a service account. Raises Invalid for what is none."""
    try:
        account = orjson.loads(text)
    except orjson.JSONDecodeError:
        account = None
    members = ("project_id", "client_email", "private_key")
    if not isinstance(account, dict) or not all(isinstance(account.get(name), str) for name in members):
        raise Invalid(
            "settings.fcm_service_account must be the JSON of a service account, with project_id, client_email and"
            " private_key."
        )
    if not _is_key(account["private_key"], RSAPrivateKey):
        raise Invalid("private_key in settings.fcm_service_account must be an RSA key in PEM.")
    return account


def _is_key(pem: str, of_type: type) -> bool:
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return isinstance(key, of_type) and (
        not isinstance(key, EllipticCurvePrivateKey) or isinstance(key.curve, SECP256R1)
    )
