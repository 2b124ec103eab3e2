"""Records of messaging: templates, topics, and who must not be written to."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Boolean, Date, DateTime, Index, Integer, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from rapport.stores.records import Base
from rapport.stores.records.sealing import Sealed

EVERY_CHANNEL = 0
# The customer_id of an erased person's suppression; customer_key is the pseudonym then.
ERASED = ""


class WishSource(StrEnum):
    """How Rapport learned that somebody wants messages or refuses them."""

    LINK = "link"  # to unsubscribe, in a message
    PAGE = "page"  # of preferences
    SDK = "sdk"  # the preference centre of an app, a site or another system
    API = "api"  # functions of the wire
    KEYWORD = "keyword"  # in an answer to a text message
    MANAGEMENT = "management"
    FILE = "file"
    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    VENDOR = "vendor"  # reported by the provider of a channel


class Template(Base):
    """The content of a message on one channel; external channels have templates of a name only.

    from_name and the ids of addresses, which are those of the channel's brand, say as whom it is sent; what is empty is
    as the channel has it. version is the number of the present content, see TemplateVersion. translations are its
    content in other languages, see translations.
    """

    __tablename__ = "templates"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(200))
    subject: Mapped[str] = mapped_column(String(1000), default="")
    html: Mapped[str] = mapped_column(Text, default="")
    text: Mapped[str] = mapped_column(Text, default="")
    app_id: Mapped[str] = mapped_column(String(200), default="", server_default="")  # the channel's app it is for
    mjml: Mapped[str] = mapped_column(Text, default="", server_default="")  # what html was made of; empty: of nothing
    from_name: Mapped[str] = mapped_column(String(200), default="", server_default="")
    from_address_id: Mapped[int | None] = mapped_column(Integer)
    reply_to_address_id: Mapped[int | None] = mapped_column(Integer)
    folder_id: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    version: Mapped[int] = mapped_column(Integer, default=0, server_default="0")  # 0: nothing was ever saved
    topic_id: Mapped[str] = mapped_column(String(36), default="", server_default="")  # what it is about; empty: none
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")  # see ChannelKind.details
    translations: Mapped[dict[str, dict[str, Any]]] = mapped_column(JSONB, default=dict, server_default="{}")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class TemplateVersion(Base):
    """The content that a template had from saved_at until its next version, or has: see Template."""

    __tablename__ = "template_versions"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    template_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    subject: Mapped[str] = mapped_column(String(1000))
    html: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    mjml: Mapped[str] = mapped_column(Text)
    from_name: Mapped[str] = mapped_column(String(200))
    from_address_id: Mapped[int | None] = mapped_column(Integer)
    reply_to_address_id: Mapped[int | None] = mapped_column(Integer)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    translations: Mapped[dict[str, dict[str, Any]]] = mapped_column(JSONB, default=dict, server_default="{}")
    saved_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Snippet(Base):
    """A piece of content that templates share, as it was from saved_at until its next version, or is.

    name is in upper case, as tags are read. translations are its html and text by language.
    """

    __tablename__ = "snippets"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    html: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    translations: Mapped[dict[str, dict[str, str]]] = mapped_column(JSONB, default=dict, server_default="{}")
    saved_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class TemplateFolder(Base):
    """A folder for templates of a brand. Every brand has the folder GENERAL, which has no row until it is renamed."""

    __tablename__ = "template_folders"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    brand_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index("uq_template_folders_name", "tenant_id", "brand_id", text("lower(name)"), unique=True),)


class Suppression(Base):
    """A customer who gets nothing on a channel, or on any channel (channel_id 0), and its reason.

    Ids compare ignoring case. The addresses that this keeps off, too, are in SuppressedAddress.
    """

    __tablename__ = "suppressions"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    customer_key: Mapped[str] = mapped_column(String(300), primary_key=True)  # the id in lower case, or a pseudonym
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    customer_id: Mapped[str] = mapped_column(String(300))
    reason: Mapped[str] = mapped_column(String(50))
    source: Mapped[str] = mapped_column(String(30), default="", server_default="")  # a WishSource; empty: not known
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ExclusionReason(StrEnum):
    """Why a customer is excluded from marketing."""

    SELF_EXCLUSION = "self-exclusion"
    TIME_OUT = "time-out"
    COOLING_OFF = "cooling-off"
    OTHER = "other"


class Exclusion(Base):
    """That a customer gets no marketing on any channel from an instant to another, or for good (ends_at null).

    Rows are added, and never changed but by lifting them. made_by and lifted_by are the actors of the audit log.
    """

    __tablename__ = "exclusions"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    customer_key: Mapped[str] = mapped_column(String(300), primary_key=True)  # the id in lower case, or a pseudonym
    begins_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    customer_id: Mapped[str] = mapped_column(String(300))
    ends_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    reason: Mapped[str] = mapped_column(String(30))  # an ExclusionReason
    made_by: Mapped[str] = mapped_column(String(200))
    lifted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    lifted_by: Mapped[str] = mapped_column(String(200), default="", server_default="")


class Undeliverable(StrEnum):
    """Why nothing whatever goes to an address on a channel: the lists of suppressed addresses beside the wishes."""

    HARD_BOUNCE = "hard bounce"
    COMPLAINT = "complaint"


class SuppressedAddress(Base):
    """An address, as a mark, of a person who must not be written to on a channel (0: any), or of an app of it.

    reason and source are those of the suppression, empty for one of before they were kept. address is the address
    itself, sealed; null where it is not known, and once its person was erased.
    """

    __tablename__ = "suppressed_addresses"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    mark: Mapped[str] = mapped_column(String(32), primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    app_key: Mapped[str] = mapped_column(String(400), primary_key=True)
    customer_key: Mapped[str] = mapped_column(String(300), primary_key=True)  # the id in lower case, or a pseudonym
    listed: Mapped[str] = mapped_column(String(30), primary_key=True)  # as outcomes tell it
    added_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    reason: Mapped[str] = mapped_column(String(50), default="", server_default="")
    source: Mapped[str] = mapped_column(String(30), default="", server_default="")
    address: Mapped[str | None] = mapped_column(Sealed("suppressed_addresses.address", None))

    __table_args__ = (
        Index("ix_suppressed_addresses_channel", "tenant_id", "channel_id"),
        Index("ix_suppressed_addresses_person", "tenant_id", "customer_key"),
    )


class TrackedLink(Base):
    """An address that links in messages lead to, which never changes; with the placeholders of the template."""

    __tablename__ = "tracked_links"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    url: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64))  # of the address, SHA-256 in hexadecimal
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index("uq_tracked_links_digest", "tenant_id", "digest", unique=True),)


class SoftBounce(Base):
    """That messages to an address (or a customer without one), as a mark, came back for now on a day of the tenant."""

    __tablename__ = "soft_bounces"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    mark: Mapped[str] = mapped_column(String(64), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    bounced_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ChannelPreference(Base):
    """How a customer may be contacted on a channel (or one app of it), as its vendor reported: 1 yes, 2 opted out."""

    __tablename__ = "channel_preferences"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    app_key: Mapped[str] = mapped_column(String(400), primary_key=True)  # the app in lower case; empty: all of them
    customer_key: Mapped[str] = mapped_column(String(300), primary_key=True)  # the id in lower case, or a pseudonym
    app_id: Mapped[str] = mapped_column(String(200))
    customer_id: Mapped[str] = mapped_column(String(300))
    mode: Mapped[int] = mapped_column(Integer)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class BrandGroup(Base):
    """Brands that share topics; id is a GUID. channels are the tenant's channels by the number of a kind on the wire.

    channels: number (as a text) -> ids of channels, such as {"15": [504]}.
    """

    __tablename__ = "brand_groups"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    channels: Mapped[dict[str, list[int]]] = mapped_column(JSONB)
    requires_proof: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Topic(Base):
    """What messages may be about, in a brand group; id is a GUID.

    mandatory: nobody can leave it. hidden: customers do not see it. frequency says in words how often it comes.
    subscribed_by_default: whoever has said nothing is subscribed on every channel of the group.
    """

    __tablename__ = "topics"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    brand_group_id: Mapped[str] = mapped_column(String(36))
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(String(1000))
    frequency: Mapped[str] = mapped_column(String(200))
    mandatory: Mapped[bool] = mapped_column(Boolean)
    hidden: Mapped[bool] = mapped_column(Boolean)
    subscribed_by_default: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class TopicSubscription(Base):
    """Whether a customer is subscribed to a topic on the channels of a number on the wire, where that was said."""

    __tablename__ = "topic_subscriptions"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    topic_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    wire_channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    customer_key: Mapped[str] = mapped_column(String(300), primary_key=True)  # the id in lower case, or a pseudonym
    customer_id: Mapped[str] = mapped_column(String(300))
    subscribed: Mapped[bool] = mapped_column(Boolean)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index("ix_topic_subscriptions_person", "tenant_id", "customer_key"),)


class ConsentChange(Base):
    """A change of what somebody agreed to, kept as it was made: who, when, by what, and in which words it was asked.

    topic_id empty: all messages of a channel, or of all (channel_id 0). channel_id is a number on the wire where there
    is a topic, else a channel of the tenant. customer_key is the id in lower case, a pseudonym, or names an address by
    its mark.
    """

    __tablename__ = "consent_changes"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    customer_key: Mapped[str] = mapped_column(String(300))
    customer_id: Mapped[str] = mapped_column(String(300))
    topic_id: Mapped[str] = mapped_column(String(36))
    channel_id: Mapped[int] = mapped_column(Integer)
    agreed: Mapped[bool] = mapped_column(Boolean)
    source: Mapped[str] = mapped_column(String(30))
    actor: Mapped[str] = mapped_column(String(200))
    wording: Mapped[str] = mapped_column(Text)
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("ix_consent_changes_person", "tenant_id", "customer_key", "id"),
        Index("ix_consent_changes_time", "tenant_id", "changed_at"),
    )


class PreferenceLinkRequest(Base):
    """That somebody asked to be sent a link to the page of preferences: to which address, of which brand group.

    The message is written when it leaves; nobody is told whether some customer has the address.
    """

    __tablename__ = "preference_link_requests"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    brand_group_id: Mapped[str] = mapped_column(String(36))
    mark: Mapped[str] = mapped_column(String(32))
    address: Mapped[str] = mapped_column(Sealed("preference_link_requests.address", None))
    language: Mapped[str] = mapped_column(String(10))
    requested_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index("ix_preference_link_requests_mark", "tenant_id", "mark", "requested_at"),)


class KeywordReply(Base):
    """The reply to somebody who answered a text message with a keyword: to which number, and which text.

    wish is a KeywordWish. Number and text are emptied once the reply has ended; the row stays for a while, in which
    the same number gets no second one.
    """

    __tablename__ = "keyword_replies"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    channel_id: Mapped[int] = mapped_column(Integer)
    mark: Mapped[str] = mapped_column(String(32))
    wish: Mapped[str] = mapped_column(String(10))
    address: Mapped[str] = mapped_column(Sealed("keyword_replies.address", None))
    text: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index("uq_keyword_replies_mark", "tenant_id", "channel_id", "mark", "wish", unique=True),)


class ShortLink(Base):
    """A short address in a message to a customer, and the path of Rapport's own that it stands for."""

    __tablename__ = "short_links"

    slug: Mapped[str] = mapped_column(String(16), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    customer_key: Mapped[str] = mapped_column(String(300))  # the id in lower case; empty: nobody known
    path: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("ix_short_links_person", "tenant_id", "customer_key"),
        Index("ix_short_links_time", "tenant_id", "made_at"),
    )
