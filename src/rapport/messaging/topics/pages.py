"""What the page of preferences shows and does: topics by channel, and whether a person gets anything at all."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

from rapport.access.scope import Scope
from rapport.access.tenant_settings import settings_or_defaults
from rapport.customers.privacy import persons as customer_persons
from rapport.errors import NotFound
from rapport.messaging import queries
from rapport.messaging.contactability import suppressed_addresses, suppressions, unsubscribe_pages
from rapport.messaging.contactability.page_words import chosen
from rapport.messaging.languages import accepted, language_code
from rapport.messaging.models import EVERY_CHANNEL, WishSource
from rapport.messaging.settings import MessagingSettings
from rapport.messaging.topics import subscriptions
from rapport.messaging.topics.page_words import BUILT_IN, PreferenceWords
from rapport.messaging.topics.preference_links import INVALID, PreferenceLink
from rapport.messaging.topics.subscriptions import Preferences

MOST_STOPS = 1000


@dataclass(frozen=True)
class PreferencePage:
    """The page: what the person is subscribed to, and on which channels (0: any) it gets nothing."""

    preferences: Preferences
    stopped: frozenset[int]

    def is_stopped(self, number: int) -> bool:
        """Whether the person gets nothing on the channels of a number on the wire."""
        ids = self.preferences.group.channels[str(number)]
        return bool(ids) and self.stopped.issuperset(ids)


def page_of(scope: Scope, link: PreferenceLink) -> PreferencePage:
    """The page that a link opens. Raises NotFound when the group is gone, or its persons are erased."""
    customer_id = _present(scope, link)[0]
    return PreferencePage(
        subscriptions.preferences(scope, link.group_id, customer_id), frozenset(_stops(scope, customer_id))
    )


def _present(scope: Scope, link: PreferenceLink) -> list[str]:
    """The persons of a link who were not erased since. Raises NotFound when none is left."""
    present = [customer_id for customer_id in link.customer_ids if not customer_persons.is_erased(scope, customer_id)]
    if not present:
        raise NotFound(INVALID)
    return present


def _stops(scope: Scope, customer_id: str) -> set[int]:
    """The channels (0: any) on which a person is suppressed by wish, itself or by an address that it has."""
    stops = {
        suppression.channel_id
        for suppression in suppressions.list_suppressions(scope, customer_id, limit=MOST_STOPS)
        if suppression.reason != suppressions.BOUNCED
    }
    attributes = suppressed_addresses.address_attributes(scope, EVERY_CHANNEL)
    for _, address in queries.addresses(scope, attributes, [customer_id]) if attributes else ():
        stops |= {
            entry.channel_id
            for entry in suppressed_addresses.of_address(scope, address)
            if entry.listed == suppressed_addresses.SUPPRESSED and entry.reason != suppressions.BOUNCED
        }
    return stops


def save(
    scope: Scope,
    link: PreferenceLink,
    wanted_channels: Mapping[str, Collection[int]],
    stopped_numbers: Collection[int],
    words: PreferenceWords,
) -> None:
    """Carry out what was chosen on the page for all persons of a link; topics that were not shown stay as they are.

    stopped_numbers are the channels, by number on the wire, on which nothing is wanted; 0: on no channel whatever.
    Who wants messages again is let in. Raises NotFound, and Invalid as set_subscriptions does.
    """
    for customer_id in _present(scope, link):
        page = subscriptions.preferences(scope, link.group_id, customer_id)
        wording = wording_of(page, words)
        subscriptions.set_subscriptions(scope, link.group_id, customer_id, wanted_channels, WishSource.PAGE, wording)
        choices = {EVERY_CHANNEL: EVERY_CHANNEL in stopped_numbers} | {
            channel_id: int(number) in stopped_numbers
            for number, ids in page.group.channels.items()
            for channel_id in ids
        }
        present = _stops(scope, customer_id)
        for channel_id, stops in choices.items():
            if stops != (channel_id in present):
                _stop(scope, customer_id, channel_id, words, stops=stops)


def _stop(scope: Scope, customer_id: str, channel_id: int, words: PreferenceWords, *, stops: bool) -> None:
    wording = words.nothing if channel_id == EVERY_CHANNEL else words.nothing_on_channel
    if stops:
        suppressions.suppress(scope, customer_id, channel_id, source=WishSource.PAGE, wording=wording)
        return
    with suppress(NotFound):
        suppressions.allow(scope, customer_id, channel_id, WishSource.PAGE, wording)


def wording_of(page: Preferences, words: PreferenceWords) -> str:
    """What a person reads beside the choices, for the log of consent."""
    lines = [f"{state.topic.name}: {state.topic.description}".strip(": ") for state in page.topics]
    return "\n".join([words.title, *lines])


def words_for(scope: Scope, customer_id: str, header: str) -> tuple[str, PreferenceWords]:
    """Language and words for a customer, as of the page to unsubscribe; header is Accept-Language."""
    settings = settings_or_defaults(scope, MessagingSettings)
    languages = unsubscribe_pages.languages_of(scope, settings, customer_id, header)
    return chosen(languages, BUILT_IN, settings.preference_page, settings.usual_language)


def words_in(scope: Scope, language: str, header: str) -> tuple[str, PreferenceWords]:
    """The same for a language that was chosen before, or of nobody in particular."""
    settings = settings_or_defaults(scope, MessagingSettings)
    return chosen(
        [language_code(language), *accepted(header)], BUILT_IN, settings.preference_page, settings.usual_language
    )
