"""What is wrong with events, by the codes that SDKs have for it, and what is looked at in core events only."""

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any

from rapport.channels.addresses import is_email_address
from rapport.customers.core_events import CORE_EVENTS
from rapport.realtime.events.visitors import SET_USER_ID

LONGEST_USER_ID = 200
MOST_OF_SDK, LONGEST_OF_SDK = 3, 100
PAGE_SCHEMES = ("http", "https", "ftp")


class Fault(IntEnum):
    """A fault of an event that SDKs know by a number."""

    UNKNOWN_EVENT = 1010
    TOO_MANY_PARAMETERS = 1020
    UNKNOWN_PARAMETER = 1030
    MISSING_PARAMETER = 1040
    LONG_TEXT = 1050
    WRONG_TYPE = 1060
    INVALID_USER_ID = 1070
    LONG_USER_ID = 1071
    INVALID_EMAIL = 1080
    INVALID_PAGE = 1090

    def said(self, sentence: str) -> str:
        """A sentence about the fault, with its number."""
        return f"{sentence} ({self.value})"


def of_core_event(name: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    """What the parameters of a core event lack, and which of them cannot be meant."""
    for parameter in CORE_EVENTS[name].mandatory:
        if parameters.get(parameter) in (None, ""):
            yield Fault.MISSING_PARAMETER.said(f"{parameter} is missing")
    if name == SET_USER_ID:
        yield from _of_user_id(parameters.get("userId"))
    elif name == "set_email_event":
        email = parameters.get("email")
        if email and not (isinstance(email, str) and is_email_address(email.strip())):
            yield Fault.INVALID_EMAIL.said("email is not an e-mail address")
    elif name == "set_page_visit":
        scheme, separator, _ = str(parameters.get("customURL", "")).partition("://")
        if separator and scheme.lower() not in PAGE_SCHEMES and "/" not in scheme:
            yield Fault.INVALID_PAGE.said("customURL is not the address of a page")


def _of_user_id(user_id: Any) -> Iterator[str]:
    if isinstance(user_id, str) and len(user_id) > LONGEST_USER_ID:
        yield Fault.LONG_USER_ID.said(f"userId is longer than {LONGEST_USER_ID} characters")


def found_by_sdk(metadata: Any) -> Iterator[str]:
    """What an SDK itself found wrong with an event (metadata.validations)."""
    validations = metadata.get("validations") if isinstance(metadata, dict) else None
    for validation in validations[:MOST_OF_SDK] if isinstance(validations, list) else ():
        if isinstance(validation, dict):
            status, message = validation.get("status"), validation.get("message")
            yield f"the SDK found: {str(message)[:LONGEST_OF_SDK]} ({str(status)[:LONGEST_OF_SDK]})"
