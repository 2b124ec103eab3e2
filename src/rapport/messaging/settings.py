"""What a tenant can set about messages: the "messaging" member of its settings."""

from typing import Annotated

from pydantic import AfterValidator, Field
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.access.tenant_settings import TenantSettings, tenant_settings
from rapport.channels.addresses import is_email_address
from rapport.errors import Invalid
from rapport.messaging.contactability.page_words import BUILT_IN, PageWords
from rapport.messaging.languages import ENGLISH
from rapport.messaging.topics.page_words import PreferenceWords

MOST_TEST_ADDRESSES = 20


def _address(value: str) -> str:
    if not is_email_address(value):
        raise ValueError("must be an e-mail address")
    return value


TestAddress = Annotated[str, Field(min_length=3, max_length=320), AfterValidator(_address)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class MessagingSettings(TenantSettings):
    """Defaults bear with a full mailbox for some weeks. Limits of conditions count in each part of a template."""

    section = "messaging"

    soft_bounces: int = Field(
        5, ge=1, le=1000, description="Days with a soft bounce after which an address is suppressed"
    )
    soft_bounce_days: int = Field(
        30, ge=1, le=366, description="The number of days within which these days are counted"
    )
    condition_blocks: int = Field(100, ge=1, le=1000, description="Blocks of conditions that a template may have")
    condition_branches: int = Field(20, ge=1, le=1000, description="Branches that such a block may have")
    language_attribute: str = Field(
        "LANGUAGE", max_length=128, description="The attribute whose value is a customer's language"
    )
    usual_language: Language = Field(
        ENGLISH, description="The language if neither the customer nor the browser names one that has texts"
    )
    usual_region: str = Field(
        "",
        pattern=r"^([A-Z]{2})?$",
        description="The region, such as GB, as whose readers of the usual language numbers and dates are written; "
        "empty: that of the language itself",
    )
    test_addresses: list[TestAddress] = Field(
        [], max_length=MOST_TEST_ADDRESSES, description="Where test sends of templates may go"
    )
    unsubscribe_page: dict[Language, PageWords] = Field(
        default_factory=dict,
        max_length=100,
        description="Texts of the unsubscribe page by language, which replace or complement the built-in ones",
    )
    preference_page: dict[Language, PreferenceWords] = Field(
        default_factory=dict,
        max_length=100,
        description="Texts of the page of preferences by language, likewise",
    )


def check_change(stored: Scope, requested: Scope, session: Session) -> None:
    """The usual language, or the words that there are, can only become such that it has some. Raises Invalid."""
    before, after = (version.settings.get(MessagingSettings.section, {}) for version in (stored, requested))
    if all(before.get(name) == after.get(name) for name in ("usual_language", "unsubscribe_page")):
        return
    changed = tenant_settings(requested, MessagingSettings)
    words = BUILT_IN | changed.unsubscribe_page
    if changed.usual_language not in words:
        raise Invalid(
            f"settings.messaging.usual_language is {changed.usual_language!r}, for which there are no texts: "
            f"there are texts for {', '.join(sorted(words))}, and unsubscribe_page can add more."
        )
