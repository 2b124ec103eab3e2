"""One classifier of what a mail server answers: final for this recipient, or worth another try."""

import re
from enum import Enum

from rapport.channels.messages import Receipt
from rapport.channels.returned import ReturnKind, classify

ENHANCED = re.compile(rb"^\s*([245]\.\d{1,3}\.\d{1,3})\b")
PERMANENT, SERVICE_CLOSING = 500, 421
# The status of a recipient that the server cannot take for its letters (RFC 6531).
UNSUPPORTED = "5.6.7"


# How servers say when to come back: "try again in 5 minutes", "greylisted for 300 seconds", "retry in 00:04:59".
HINT = re.compile(
    rb"\b(?:in|after|for|wait)\s+(?:about\s+|another\s+)?"
    rb"(?:(?P<clock>\d{1,2}):(?P<minutes>\d{2}):(?P<rest>\d{2})"
    rb"|(?P<number>\d{1,5})\s*(?P<unit>s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)\b)",
    re.IGNORECASE,
)
UNITS = {b"s": 1, b"m": 60, b"h": 3600}
# No longer than servers are waited for at all between two tries (RFC 5321, 4.5.4.1, has senders try for days).
LONGEST_HINT = 4 * 3600.0


def retry_after(text: bytes) -> float:
    """After how many seconds a server wants to be asked again, by the text of its answer; 0 where it does not say."""
    match = HINT.search(text)
    if match is None:
        return 0.0
    if match["clock"]:
        seconds = int(match["clock"]) * 3600 + int(match["minutes"]) * 60 + int(match["rest"])
    else:
        seconds = int(match["number"]) * UNITS[match["unit"][:1].lower()]
    return min(float(seconds), LONGEST_HINT)


class Stage(Enum):
    """Where in the dialogue an answer came."""

    CONNECT = "connecting"
    SENDER = "sender"
    RECIPIENT = "recipient"
    CONTENT = "content"


class Refused(Exception):
    """A reply other than success."""

    def __init__(self, stage: Stage, code: int, text: bytes | str) -> None:
        super().__init__(code)
        self.stage = stage
        self.code = code
        raw = text if isinstance(text, bytes) else text.encode()
        match = ENHANCED.match(raw)
        self.enhanced = match[1].decode() if match else ""
        self.retry_after = retry_after(raw) if code < PERMANENT else 0.0


def receipt_of(message_id: str, refused: Refused) -> Receipt:
    """The receipt of a refusal: 5xx to the recipient or the content is final, all else is temporary.

    A 5xx to the sender or the login says nothing about the recipient: it is the channel that is set wrong.
    The reason holds the reply's code and enhanced status (RFC 3463), never its text.
    """
    about_recipient = refused.stage in (Stage.RECIPIENT, Stage.CONTENT)
    permanent = about_recipient and refused.code >= PERMANENT
    word = "rejected" if permanent else "deferred"
    reason = f"{refused.stage.value} {word} {refused.code} {refused.enhanced}".strip()
    return Receipt(message_id, "failed", reason, permanent, retry_after=refused.retry_after)


# A reason of receipt_of about the recipient.
ABOUT_RECIPIENT = re.compile(r"recipient (?:rejected|deferred) (?P<code>\d{3})(?: (?P<status>\S+))?\Z")


def returned(reason: str) -> ReturnKind | None:
    """What the reason of a message that failed says of its address; None for nothing, as of an answer to the content.

    The text of a reply is not kept, so only its enhanced status can say that there is no such address.
    """
    answer = ABOUT_RECIPIENT.match(reason)
    if answer is None or answer["status"] == UNSUPPORTED:
        return None
    return classify(answer["status"] or "", int(answer["code"]))
