"""What a template of push messages says beside title and text."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

# Addresses that an app or a browser must not be led to, whatever a tag puts in.
UNSAFE_SCHEMES = ("javascript:", "data:", "vbscript:")
# Names in the data of a message that the SDKs give a meaning of their own.
OWN_PREFIX, BADGE_INCREMENT = "k.", "badge_inc"
LONGEST_TTL = 28 * 24 * 3600  # seconds; no provider keeps a message longer
LARGEST_NUMBER = 2**31 - 1

Line = Annotated[str, Field(max_length=1000)]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Icon(_Part):
    """The picture on a button: one of the system's, or one of the app's own."""

    type: Literal["system", "custom"]
    id: Name


class Button(_Part):
    """A button below the message; the app is told its id."""

    id: Name
    text: Name
    icon: Icon | None = None


class Badge(_Part):
    """The number on the app's icon: set it, or count it up or down."""

    set: int | None = Field(None, ge=0, le=99_999)
    inc: int | None = Field(None, ge=-99_999, le=99_999)


class DeepLink(_Part):
    """What the SDK fetches and shows at once: an in-app message (type 1, with its id) or an overlay (type 2)."""

    type: Literal[1, 2]
    id: int | None = Field(None, ge=1, le=LARGEST_NUMBER)


class PushDetails(_Part):
    """Texts may hold tags.

    url opens on a tap, and may lead into the app; picture is an absolute URL or a path of the media host. data reaches
    the app with the message. background wakes the app without waiting for a tap. ttl_seconds is how long a provider
    keeps the message for a device that is away; of several with one collapse_key only the newest is shown.
    """

    url: Line = ""
    picture: Line = ""
    icon: Line = ""
    buttons: list[Button] = Field(default_factory=list, max_length=4)
    deep_link: DeepLink | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    badge: Badge | None = None
    sound: Annotated[str, Field(max_length=200)] = ""
    category: Annotated[str, Field(max_length=200)] = ""
    collapse_key: Annotated[str, Field(max_length=200)] = ""
    background: bool = False
    android_channel: Annotated[str, Field(max_length=200)] = ""
    important: bool = False
    urgent: bool = True
    ttl_seconds: int = Field(LONGEST_TTL, ge=0, le=LONGEST_TTL)

    @field_validator("url", "picture", "icon")
    @classmethod
    def _safe(cls, value: str) -> str:
        if not is_safe(value):
            raise ValueError("must not run scripts")
        return value

    @field_validator("data")
    @classmethod
    def _free_names(cls, value: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(name for name in value if name.startswith(OWN_PREFIX) or name == BADGE_INCREMENT):
            raise ValueError(f"must not have the member {taken[0]}, which the SDKs use themselves")
        return value


def is_safe(address: str) -> bool:
    """Whether an address leads somewhere and runs nothing by itself."""
    return not address.strip().lower().startswith(UNSAFE_SCHEMES)
