"""What an application asks to be sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rapport.channels.messages import AttachedFile


@dataclass(frozen=True)
class Addressee:
    """Whom a message goes to, and the values of tags for it by their names in upper case.

    customer_id is empty where only the address is known, and address where the channel reaches customers by their id.
    """

    address: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    customer_id: str = ""


@dataclass(frozen=True)
class FinalContent:
    """Content that the caller has made, which goes out as it stands."""

    from_email: str
    subject: str
    html: str
    from_name: str = ""
    reply_to: str = ""
    text: str = ""


@dataclass(frozen=True)
class OwnText:
    """Content that the caller gives in place of a template; tags in it are filled. See channels.messages.Content."""

    subject: str = ""
    text: str = ""
    html: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """A request: for whom, with which files. due_at is an instant; None: at once."""

    addressees: list[Addressee]
    attachments: list[AttachedFile]
    unique_id: str = ""
    due_at: datetime | None = None


@dataclass(frozen=True)
class Accepted:
    """A request that was accepted. missing_tags got no value; not_addresses are the places, from 0, of recipients that
    are no e-mail addresses.
    """

    send_id: int
    missing_tags: list[str]
    not_addresses: list[int]
