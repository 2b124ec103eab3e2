"""The settings of SMS: of a channel, by which way its messages leave; of a tenant, its numbers and keywords."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

import phonenumbers
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from rapport.access.scope import Scope
from rapport.access.tenant_settings import TenantSettings, settings_or_defaults
from rapport.channels.kinds.base import Secret

# Where secrets are sent, and how: elsewhere they are not sent unless they are entered again.
SMS_PLACE = ("via", "url", "host", "port", "security", "system_id")
HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"
LONGEST_KEYWORD, MOST_KEYWORDS, LONGEST_REPLY = 40, 100, 1000
MOST_MARKETS = 250
STOP_WORDS = ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT")
START_WORDS = ("START", "UNSTOP")


class Via(StrEnum):
    """By which way messages leave."""

    HTTP = "http"
    SMPP = "smpp"
    AGGREGATOR = "aggregator"


def _region(value: str) -> str:
    if value not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("must be a country as ISO 3166 writes it, such as GB")
    return value


def _usual_region(value: str) -> str:
    return _region(value) if value else value


def _keyword(value: str) -> str:
    word = keyword(value)
    if not word or " " in word:
        raise ValueError("must be one word")
    return word


def keyword(text: str) -> str:
    """A text as keywords are compared: without case, blanks around it, and quotation marks and full stops."""
    return " ".join(text.strip(" \t\r\n\"'.!“”‘’").upper().split())


Region = Annotated[str, AfterValidator(_region)]
Keyword = Annotated[str, Field(min_length=1, max_length=LONGEST_KEYWORD), AfterValidator(_keyword)]
MemberPath = Annotated[str, Field(max_length=200, pattern=r"^[^\s]*$")]


class HttpReports(BaseModel):
    """How a provider's calls are read: the members of the body, with dots between names and places, and their values.

    token is the member that brings back [%TOKEN%], or id the one with the provider's own id of the message.
    """

    model_config = ConfigDict(extra="forbid")

    token: MemberPath = ""
    id: MemberPath = ""
    status: MemberPath = "status"
    delivered: list[str] = Field(["delivered"], max_length=50)
    failed: list[str] = Field(["failed", "undelivered", "rejected", "expired"], max_length=50)
    invalid: list[str] = Field([], max_length=50)
    sender: MemberPath = "from"
    text: MemberPath = "text"


class SmsChannelSettings(BaseModel):
    """How text messages leave.

    brand is by which name or number the SMS API and the functions of the wire know the channel; if empty, by its id.
    Of via http: url, headers and body may hold [%TO%], [%FROM%], [%TEXT%], [%MESSAGE_ID%], [%TOKEN%] and [%SECRET%].
    accepted_text is what an answer must contain, invalid_text what one contains that says that there is no such number,
    and id_member where an answer has the provider's id of the message.
    """

    model_config = ConfigDict(extra="forbid")

    via: Via = Via.HTTP
    sender: str = Field("", max_length=20, pattern=r"^[+]?[A-Za-z0-9 _.-]*$")
    brand: str = Field("", max_length=50, pattern=r"^\S*$")
    default_region: Annotated[str, AfterValidator(_usual_region)] = ""
    tracking: bool = True
    most_segments: int = Field(10, ge=1, le=255)
    timeout_seconds: float = Field(30, gt=0, le=300)
    connections: int = Field(8, ge=1, le=64)

    url: str = Field("", max_length=2000)
    headers: dict[Annotated[str, Field(pattern=HEADER_NAME)], Annotated[str, Field(pattern=r"^[^\r\n]{0,2000}$")]] = (
        Field(default_factory=dict, max_length=30)
    )
    format: Literal["json", "form"] = "json"
    body: str = Field('{"to": "[%TO%]", "from": "[%FROM%]", "text": "[%TEXT%]"}', max_length=10_000)
    secret: Secret = Field("", max_length=2000)
    accepted_text: str = Field("", max_length=200)
    invalid_text: str = Field("", max_length=200)
    id_member: MemberPath = ""
    reports: HttpReports = HttpReports()

    host: str = Field("", max_length=253)
    port: int = Field(2775, ge=1, le=65535)
    security: Literal["none", "tls"] = "none"
    system_id: str = Field("", max_length=15)
    password: Secret = Field("", max_length=8)
    system_type: str = Field("", max_length=12)
    window: int = Field(10, ge=1, le=1000)
    per_second: int = Field(0, ge=0, le=10_000)
    enquire_seconds: float = Field(30, gt=0, le=600)
    receipts: bool = True

    shared_secret: Secret = Field("", max_length=200)
    batch_size: int = Field(100, ge=1, le=1000)


class KeywordRules(BaseModel):
    """Which words of a reply mean that somebody wants no more messages, or wants them again, and what is answered.

    A reply means it only if it consists of the word. An empty answer: none is sent.
    """

    model_config = ConfigDict(extra="forbid")

    stop: list[Keyword] = Field(list(STOP_WORDS), min_length=1, max_length=MOST_KEYWORDS)
    start: list[Keyword] = Field(list(START_WORDS), max_length=MOST_KEYWORDS)
    stop_reply: str = Field("", max_length=LONGEST_REPLY)
    start_reply: str = Field("", max_length=LONGEST_REPLY)


class SmsSettings(TenantSettings):
    """Numbers without a country code, and keywords, for all SMS channels."""

    section = "sms"

    default_region: Annotated[str, AfterValidator(_usual_region)] = Field(
        "", description="The country of phone numbers without a country code, such as GB; if empty, they get no SMS"
    )
    keywords: KeywordRules = Field(
        default_factory=KeywordRules, description="The words by which people refuse messages or want them again"
    )
    markets: dict[Region, KeywordRules] = Field(
        default_factory=dict,
        max_length=MOST_MARKETS,
        description="Keywords for the numbers of a country, instead of these",
    )

    def rules_of(self, market: str) -> KeywordRules:
        """The keywords for the numbers of a country; empty: of none."""
        markets: Mapping[str, KeywordRules] = self.markets
        return markets.get(market, self.keywords)


def usual_region(scope: Scope, channel: SmsChannelSettings) -> str:
    """The country of numbers without a country code on a channel; empty: they are none."""
    return channel.default_region or settings_or_defaults(scope, SmsSettings).default_region
