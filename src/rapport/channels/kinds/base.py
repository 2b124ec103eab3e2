"""What a kind of channel is: everything in which channels of one kind differ from those of another, in one object."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels import addresses
from rapport.channels.messages import Content, Message, Sender, TextSize, Transport
from rapport.channels.rate_plans import RatePlan
from rapport.channels.returned import ReturnKind
from rapport.errors import Invalid
from rapport.wording import refused


class _Secret:
    """Marks a setting as secret."""


# The type of a setting that is a secret: it is sealed while it is stored, and shown masked.
Secret = Annotated[str, _Secret]


def secret_members(model: type[BaseModel]) -> frozenset[str]:
    """The settings that a model declares as Secret."""
    return frozenset(name for name, field in model.model_fields.items() if _Secret in field.metadata)


class NoDetails(BaseModel):
    """There is nothing to say beside the subject, the HTML and the text."""

    model_config = ConfigDict(extra="forbid")


# The address attribute of channels that reach customers by their own id.
OWN_ID = "CUSTOMER_ID"


class AddressSql(Protocol):
    """The rule of a form of address over a column."""

    def __call__(self, text: str, /, *, plain: bool) -> str:
        """SQL of whether a text (in SQL) is such an address; plain: every text of the column is a plain one."""


@dataclass(frozen=True)
class AddressForm:
    """What counts as an address: how it is called, and one rule in two languages.

    passes says it of a text, sql of a column; sql is None where any text that is not blank will do.
    """

    name: str
    plural: str
    article: str
    passes: Callable[[str], bool]
    sql: AddressSql | None = None

    @property
    def fault(self) -> str:
        """What is wrong with a text that does not pass, as the reason of an outcome."""
        return f"not {self.article} {self.name}"


# Tokens, handles, numbers: whatever an outside system takes.
ANY_ADDRESS = AddressForm("address", "addresses", "an", bool)


class ChannelKind(ABC):
    """One kind of channel. Other packages ask it; none of them knows which kinds there are.

    settings is the model of a channel's settings, settings_told what they are about, in documents; a secret among them
    is sent only where the settings in secret_place point. details is the model of what a template says beside subject,
    HTML and text; its texts may hold tags. known_id is the id of a tenant's first channel of the kind.
    address_attribute and permission_attribute are what a channel gets that names none.
    by_own_id_only: whoever fetches the messages names the customer, or the visitor, as events do ('v:' and its id).
    answers_events: the page that reports an event is told in the answer what of the messages to show.
    is_pulled: outside systems pull the lists and keep the templates; otherwise Rapport sends the messages.
    measures_clicks: whether it becomes known who clicked in its messages, which are called message_noun.
    has_returns: whether messages may come back, or complaints about them, and say by a token which message it was.
    has_short_links: whether links in its messages are short, since every character is paid.
    needs_device: whether only customers who have an app or a browser for it can be reached.
    own_call: the call by which applications send messages of the kind, where it has one of its own.
    has_providers: whether its messages leave by several providers; one that is away holds up none of the others.
    fault: why channels of the kind can send nothing whatever, in a sentence; empty where they can.
    """

    name: ClassVar[str]
    settings: ClassVar[type[BaseModel]]
    settings_told: ClassVar[str] = ""
    details: ClassVar[type[BaseModel]] = NoDetails
    secret_place: ClassVar[tuple[str, ...]] = ()
    known_id: ClassVar[int | None] = None
    address_attribute: ClassVar[str] = OWN_ID
    permission_attribute: ClassVar[str | None] = None
    address_form: ClassVar[AddressForm] = ANY_ADDRESS
    by_own_id_only: ClassVar[bool] = False
    answers_events: ClassVar[bool] = False
    is_pulled: ClassVar[bool] = False
    measures_clicks: ClassVar[bool] = False
    needs_device: ClassVar[bool] = False
    has_providers: ClassVar[bool] = False
    has_returns: ClassVar[bool] = False
    has_short_links: ClassVar[bool] = False
    message_noun: ClassVar[str] = "any message"
    own_call: ClassVar[str] = ""
    fault: str = ""

    @property
    def secrets(self) -> frozenset[str]:
        """The settings that are secret: those that the model declares as Secret."""
        return secret_members(self.settings)

    @abstractmethod
    def open(self, scope: Scope, settings: Mapping[str, Any], longest: float) -> Transport:
        """The way out of a channel with these settings; it waits for its server at most so many seconds at a time.

        Raises Invalid for settings by which nothing can be sent (any more).
        """

    def open_for_many(self, scope: Scope, settings: Mapping[str, Any], longest: float) -> Transport:
        """open(), for hundreds of messages at a time and more. Raises Invalid as open() does."""
        return self.open(scope, settings, longest)

    def check_settings(self, scope: Scope, settings: Mapping[str, Any]) -> None:  # noqa: B027 - all will do
        """Whether a tenant may have a channel with these settings, which fit the model. Raises Invalid."""

    def adopt(
        self,
        scope: Scope,
        session: Session,
        channel_id: int,
        name: str,
        settings: Mapping[str, Any],
        present: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Settings as they are stored for a channel of this name, in the transaction that saves it; present are those
        of before. What the kind keeps beside them is written here. Raises Invalid.
        """
        return dict(settings)

    def made_of(self, scope: Scope, settings: Mapping[str, Any]) -> tuple[Any, ...]:
        """What a transport depends on beside the settings: one that is open is opened anew when it has changed."""
        return ()

    def checked_details(self, details: Mapping[str, Any]) -> dict[str, Any]:
        """Details of a template as they are stored: only what was said. Raises Invalid naming the member."""
        try:
            return self.details.model_validate(details).model_dump(mode="json", exclude_unset=True)
        except ValidationError as error:
            raise Invalid(refused(error, self.details, dict(details), "details")) from error

    def check_content(self, content: Content) -> None:  # noqa: B027 - all will do
        """Whether a template with this content can be sent on channels of the kind. Raises Invalid."""

    def write(self, message_id: str, customer_id: str, to: str, content: Content, unsubscribe_url: str = "") -> Message:
        """A message of the content as the transport takes it; without a URL nobody can unsubscribe by it."""
        return Message(
            message_id, customer_id, to, content.subject, content.text, content.html, details=content.details
        )

    def written_to(self, scope: Scope, settings: Mapping[str, Any]) -> Callable[[str], str]:
        """How addresses are written to on a channel with these settings; by that two of them are the same."""
        return addresses.mended

    def text_size(self, text: str) -> TextSize | None:
        """How long a text is, where that is counted and paid."""
        return None

    def costly_letters(self, text: str) -> list[str]:
        """The characters of a text that make all of it longer where that is counted, each once."""
        return []

    def with_device(
        self, scope: Scope, settings: Mapping[str, Any], among: Collection[str] | None = None
    ) -> set[str] | None:
        """The customers, in lower case, whom the kind reaches on a device; among: of these only. None: all are reached
        whatever they have. To be asked of kinds that need one.
        """
        return None

    def provider(self, to: str) -> str:
        """Who takes messages to an address, where one that is slow must not hold up others; empty: all are alike."""
        return ""

    def mail_servers(self, scope: Scope, domains: Collection[str]) -> Mapping[str, Sequence[str]]:
        """The hosts that take what is sent to each of some domains; none where that is not known."""
        return {}

    def rate_plan(self, scope: Scope, settings: Mapping[str, Any]) -> RatePlan | None:
        """How much may leave for each provider on a channel with these settings; None for as much as it takes."""
        return None

    def returned(self, reason: str) -> ReturnKind | None:
        """What the reason on the receipt of a message that failed says of its address; None for nothing."""
        return None

    def tracks(self, scope: Scope, settings: Mapping[str, Any]) -> bool:
        """Whether opens and clicks of the messages of a channel with these settings are tracked."""
        return False

    def learns_clicks(self, scope: Scope, settings: Mapping[str, Any]) -> bool:
        """Whether it becomes known who opens messages of a channel with these settings and clicks in them."""
        return self.measures_clicks or self.tracks(scope, settings)

    def sending_attributes(self, scope: Scope, settings: Mapping[str, Any], subject: str, sender: Sender) -> list[str]:
        """What GetChannelTemplateDetails tells, beside the content, of a template with this subject and sender."""
        return []
