"""One classifier of what a mail server answers: final for this recipient, or worth another try."""

import re
from enum import Enum

from rapport.channels.messages import Receipt

ENHANCED = re.compile(rb"^\s*([245]\.\d{1,3}\.\d{1,3})\b")
PERMANENT, SERVICE_CLOSING = 500, 421


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


def receipt_of(message_id: str, refused: Refused) -> Receipt:
    """The receipt of a refusal: 5xx to the recipient or the content is final, all else is temporary.

    A 5xx to the sender or the login says nothing about the recipient: it is the channel that is set wrong.
    The reason holds the reply's code and enhanced status (RFC 3463), never its text.
    """
    about_recipient = refused.stage in (Stage.RECIPIENT, Stage.CONTENT)
    permanent = about_recipient and refused.code >= PERMANENT
    word = "rejected" if permanent else "deferred"
    reason = f"{refused.stage.value} {word} {refused.code} {refused.enhanced}".strip()
    return Receipt(message_id, "failed", reason, permanent)
