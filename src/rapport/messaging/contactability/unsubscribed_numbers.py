"""The unsubscribe list of SMS: the phone numbers that get no text message of a brand, and since when.

It is the suppression list of the brand's SMS channels, to which links and keywords of text messages lead, too.
"""

from collections.abc import Sequence
from datetime import date

from rapport.access.scope import Scope
from rapport.channels.models import Channel
from rapport.channels.sms import directory
from rapport.channels.sms.numbers import NOT_A_NUMBER, any_number_of, spellings_of
from rapport.channels.sms.settings import usual_region
from rapport.errors import Invalid
from rapport.messaging.contactability import unsubscribers
from rapport.messaging.contactability.unsubscribers import Unsubscriber
from rapport.messaging.models import WishSource


def unsubscribed_numbers(
    scope: Scope, brand: str, sender: str, first: date | None, last: date | None, most: int, skip: int
) -> list[Unsubscriber]:
    """The list of a brand, oldest first, of whoever unsubscribed from the first to the last day (UTC). Raises NotFound.

    Numbers are in the form of E.164, as far as what was suppressed is one.
    """
    used = directory.channels_of(scope, brand, sender)
    region = _region(scope, used)
    rows = unsubscribers.listed(scope, [channel.id for channel in used], first, last, most, skip)
    return [Unsubscriber(_shown(row.address, region), row.unsubscribed_at) for row in rows]


def add_numbers(scope: Scope, brand: str, sender: str, numbers: Sequence[str]) -> None:
    """Put numbers on the list of a brand. Raises NotFound, and Invalid for a text that is no number."""
    used = directory.channels_of(scope, brand, sender)
    written = _written(numbers, _region(scope, used))
    unsubscribers.put_on(scope, [channel.id for channel in used], written, WishSource.API)


def delete_numbers(scope: Scope, brand: str, sender: str, numbers: Sequence[str]) -> None:
    """Take numbers off the list of a brand, however they are spelled there. Raises as add_numbers."""
    used = directory.channels_of(scope, brand, sender)
    region = _region(scope, used)
    for number in _written(numbers, region):
        for spelling in spellings_of(number, region):
            unsubscribers.take_off(scope, [channel.id for channel in used], spelling, WishSource.API)


def _region(scope: Scope, used: Sequence[Channel]) -> str:
    return usual_region(scope, directory.settings_of(used[0]))


def _written(numbers: Sequence[str], region: str) -> list[str]:
    written = []
    for place, number in enumerate(numbers, 1):
        try:
            written.append(any_number_of(number, region))
        except ValueError as error:
            raise Invalid(f"phone number {place} is {NOT_A_NUMBER}.") from error
    return list(dict.fromkeys(written))


def _shown(address: str, region: str) -> str:
    try:
        return any_number_of(address, region)
    except ValueError:
        return address
