"""Bodies of the calls that send transactional mail."""

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Annotated

import orjson
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from rapport.api.http.bodies import Count, WireModel, as_id
from rapport.channels.addresses import is_email_address
from rapport.channels.messages import AttachedFile
from rapport.transactional.personalizations import tag_name
from rapport.transactional.requests import Addressee, FinalContent, Order

MOST_RECIPIENTS, MOST_FILES = 200, 50
MOST_FILE_BYTES = 10 * 1024 * 1024
MOST_PERSONALIZATION_BYTES = 50_000
LONGEST_UNIQUE_ID = 254
LONGEST_HTML = 2_000_000
TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
BLANKS = re.compile(r"[ \t\r\n]+")
TAG_MEMBERS, VALUE_MEMBER = ("tag", "name", "key"), "value"


def _blank_as_none(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _none_as_blank(value: object) -> object:
    return "" if value is None else value


def _file_content(value: str) -> str:
    """Base64 without blanks. Raises ValueError for what is none."""
    content = BLANKS.sub("", value)
    try:
        base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise ValueError("must be base64") from error
    return content


def _content_type(value: str) -> str:
    """A media type without parameters. Raises ValueError for what is none."""
    media_type = value.partition(";")[0].strip()
    if not TYPE.fullmatch(media_type):
        raise ValueError("must be a media type such as application/pdf")
    return media_type


def _file_name(value: str) -> str:
    """The last part of a path, on one line. Raises ValueError for a blank name."""
    name = re.split(r"[/\\]", value)[-1]
    name = "".join(letter for letter in name if letter.isprintable()).strip()
    if not name:
        raise ValueError("must not be blank")
    return name


def text_of(value: object) -> str:
    """The value of a tag as text. Raises ValueError for an object or a list."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, int | float):
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    raise ValueError("must have texts as values")


def _values(personalizations: object) -> dict[str, str]:
    """Values by the names of their tags: of a list of objects with Tag and Value, or of objects with tags as members.

    Raises ValueError.
    """
    if personalizations is None:
        return {}
    if len(orjson.dumps(personalizations)) > MOST_PERSONALIZATION_BYTES:
        raise ValueError(f"must have at most {MOST_PERSONALIZATION_BYTES} bytes")
    items = personalizations if isinstance(personalizations, list) else [personalizations]
    values: dict[str, str] = {}
    for item in items:
        if not isinstance(item, dict):
            raise ValueError("must be a list of objects with Tag and Value")
        members = {str(name).strip().lower(): value for name, value in item.items()}
        tag = next((members[name] for name in TAG_MEMBERS if name in members), None)
        tags = {str(tag): members.get(VALUE_MEMBER)} if tag is not None else item
        values |= {tag_name(str(name)): text_of(value) for name, value in tags.items()}
    return values


def _instant(value: object) -> datetime | None:
    """An instant that is UTC unless it names a zone; None for none. Raises ValueError."""
    if value is None or value == "":
        return None
    try:
        instant = datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
    except ValueError:
        instant = None
    if instant is None:
        raise ValueError("must be a time in UTC as YYYY-MM-DD HH:mm:ss")
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _address(value: str) -> str:
    if value and not is_email_address(value):
        raise ValueError("must be an e-mail address")
    return value


Email = Annotated[str, Field(max_length=1000)]
OptionalText = Annotated[str, Field(max_length=1000), BeforeValidator(_none_as_blank)]
UniqueID = Annotated[
    Annotated[str, Field(max_length=LONGEST_UNIQUE_ID), BeforeValidator(as_id)] | None, BeforeValidator(_blank_as_none)
]
_TEXT = {"type": "string"}
TAGGED = {
    "type": "array",
    "items": {"type": "object", "properties": {"Tag": _TEXT, "Value": _TEXT}, "required": ["Tag", "Value"]},
}


class RecipientBody(WireModel):
    """A recipient."""

    email: Email = Field(alias="Email")


class PersonalizedRecipient(RecipientBody):
    """A recipient, with the values of tags."""

    values: Annotated[dict[str, str], BeforeValidator(_values), WithJsonSchema(TAGGED)] = Field(
        default_factory=dict,
        alias="Personalizations",
        description="Objects with `Tag` and `Value`; brackets and the prefix TRANS: of a tag may be left out. At most "
        "50,000 bytes",
    )


class AttachmentBody(WireModel):
    """A file."""

    content: Annotated[str, AfterValidator(_file_content)] = Field(alias="Content", description="Base64")
    content_type: Annotated[str, Field(max_length=300), AfterValidator(_content_type)] = Field(
        alias="Type", description="Media type, such as application/pdf"
    )
    file_name: Annotated[str, Field(max_length=255), AfterValidator(_file_name)] = Field(alias="FileName")


class MailBody(WireModel):
    """What both calls have."""

    attachments: Annotated[list[AttachmentBody], BeforeValidator(lambda listed: listed or [])] = Field(
        default_factory=list, alias="Attachments", max_length=MOST_FILES, description="At most 10 MB in total"
    )
    unique_id: UniqueID = Field(
        None, alias="UniqueMessageID", description="A request whose ID has succeeded before is refused with 409"
    )

    @model_validator(mode="after")
    def _not_too_large(self) -> "MailBody":
        # Base64 has four characters for three bytes.
        if sum(len(attached.content) * 3 // 4 for attached in self.attachments) > MOST_FILE_BYTES + 2 * MOST_FILES:
            raise ValueError("Attachments must have at most 10 MB in all")
        return self

    def files(self) -> list[AttachedFile]:
        """The attachments."""
        return [AttachedFile(each.file_name, each.content_type, each.content) for each in self.attachments]


class TemplateMailBody(MailBody):
    """Mail from a template."""

    template_id: Count = Field(alias="TemplateID", description="A transactional template, see GetTemplateDetails")
    schedule_time: Annotated[datetime | None, BeforeValidator(_instant)] = Field(
        None, alias="ScheduleTime", description="UTC, YYYY-MM-DD HH:mm:ss; at once if left out or past"
    )
    recipients: list[PersonalizedRecipient] = Field(alias="Recipients", min_length=1, max_length=MOST_RECIPIENTS)

    def order(self) -> Order:
        """The request for whom, with which files, and when."""
        addressees = [Addressee(recipient.email.strip(), recipient.values) for recipient in self.recipients]
        return Order(addressees, self.files(), self.unique_id or "", self.schedule_time)


class FinalMailBody(MailBody):
    """Mail with the application's own content."""

    brand_id: Count = Field(alias="BrandID", description="A transactional brand")
    from_email: Annotated[str, Field(min_length=1, max_length=320), AfterValidator(_address)] = Field(alias="FromEmail")
    from_name: OptionalText = Field("", alias="FromName", max_length=200)
    reply_to: Annotated[OptionalText, AfterValidator(_address)] = Field("", alias="ReplyTo")
    subject: str = Field(alias="Subject", min_length=1, max_length=1000)
    html: str = Field(alias="Html", min_length=1, max_length=LONGEST_HTML)
    text: Annotated[str, Field(max_length=LONGEST_HTML), BeforeValidator(_none_as_blank)] = Field("", alias="PlainText")
    recipients: list[RecipientBody] = Field(alias="Recipients", min_length=1, max_length=MOST_RECIPIENTS)

    def content(self) -> FinalContent:
        """The content."""
        return FinalContent(self.from_email, self.subject, self.html, self.from_name, self.reply_to, self.text)

    def order(self) -> Order:
        """The request for whom, and with which files."""
        addressees = [Addressee(recipient.email.strip()) for recipient in self.recipients]
        return Order(addressees, self.files(), self.unique_id or "")
