"""In which words whoever opens a link is asked whether to unsubscribe."""

from collections.abc import Sequence

from clickhouse_connect.driver.exceptions import ClickHouseError

from rapport.access.scope import Scope
from rapport.access.tenant_settings import settings_or_defaults
from rapport.errors import RapportError
from rapport.messaging import queries
from rapport.messaging.contactability.page_words import BUILT_IN, PageWords, chosen
from rapport.messaging.languages import accepted, language_code
from rapport.messaging.settings import MessagingSettings


def words_for(scope: Scope, customer_id: str, header: str) -> tuple[str, PageWords]:
    """Language and words for a customer: by its attribute, else as its browser asks (Accept-Language), else the usual.

    A wish is not held up by words: what cannot be read, or a setting that cannot be used, counts for nothing.
    """
    settings = settings_or_defaults(scope, MessagingSettings)
    return _chosen(settings, languages_of(scope, settings, customer_id, header))


def languages_of(scope: Scope, settings: MessagingSettings, customer_id: str, header: str) -> list[str]:
    """The languages of a customer, the preferred first: of its attribute, then those that its browser asks for."""
    return [*_languages(scope, settings.language_attribute, customer_id), *accepted(header)]


def words_in(scope: Scope, language: str, header: str) -> tuple[str, PageWords]:
    """The same for a language that was chosen before, without a look at the customer."""
    return _chosen(settings_or_defaults(scope, MessagingSettings), [language_code(language), *accepted(header)])


def _chosen(settings: MessagingSettings, languages: Sequence[str]) -> tuple[str, PageWords]:
    return chosen(languages, BUILT_IN, settings.unsubscribe_page, settings.usual_language)


def _languages(scope: Scope, attribute: str, customer_id: str) -> list[str]:
    try:
        return [language_code(text) for _, text in queries.addresses(scope, [attribute], [customer_id])]
    except (RapportError, ClickHouseError):
        return []
