"""One classifier of what comes back about a message, whoever says it: a reply, a delivery report, a provider.

What it says is an enhanced status (RFC 3463), an SMTP code and a text, each as far as there is one:

1. Words by which receivers refuse a sender or a content, and statuses X.7.X (policy), are a block: nothing about the
   address, so that it neither suppresses nor counts.
2. A status that says that there is no such address is permanent.
3. A permanent failure without a status of that kind is permanent only if its text says so; a bare 550 may as well be
   about the sender.
4. All else is temporary: full mailboxes, servers that do not answer, messages that are too large.
"""

import re
from enum import StrEnum

# No such mailbox, domain or host, bad syntax, moved without an address, invalid null MX, and a disabled mailbox.
NO_SUCH_ADDRESS = re.compile(r"5[.](1[.](1|2|3|6|10)|2[.]1)\Z")
POLICY = re.compile(r"[45][.]7[.]\d{1,3}\Z")
# Statuses that say no more than that it failed.
GENERAL = re.compile(r"(|5[.][0157][.]0|5[.]4[.][0-9])\Z")
BLOCK_WORDS = re.compile(
    r"spam|black[ -]?list|block[ -]?list|\bblocked\b|\brbl\b|dnsbl|\bdmarc\b|\bspf\b|\bdkim\b|unauthenticated|"
    r"reputation|policy (reason|violation|restriction)|barracuda|content (rejected|filter)|virus|phish|"
    r"poor sender|access denied|banned|not allowed to send|rate limit|too many (messages|connections)",
    re.IGNORECASE,
)
UNKNOWN_WORDS = re.compile(
    r"(user|recipient|mailbox|address|account|email)( \S+){0,4} (is |was )?(unknown|not found|does ?n[o']t exist|"
    r"invalid|disabled|inactive|unavailable or does not exist)|(unknown|no such|invalid|bad|nonexistent) "
    r"(local )?(user|recipient|mailbox|address|account|destination mailbox)|does ?n[o']t have an? .{0,40}account|"
    r"no mailbox (here )?by that name|unrouteable address|"
    r"(host|domain)( or domain)?( name)?( \S+){0,3} (not found|does ?n[o']t exist)|no such domain",
    re.IGNORECASE,
)
PERMANENT_CODES = range(500, 600)
# An enhanced status within a text.
STATUS_IN_TEXT = re.compile(r"(?<![\d.])([245][.]\d{1,3}[.]\d{1,3})(?![\d.])")


class ReturnKind(StrEnum):
    """What a message that came back says.

    PERMANENT: there is no such address. TEMPORARY: it takes nothing for now. BLOCK: the receiver refuses the sender or
    the content. COMPLAINT: the recipient calls the message spam.
    """

    PERMANENT = "permanent"
    TEMPORARY = "temporary"
    BLOCK = "block"
    COMPLAINT = "complaint"


def classify(status: str = "", code: int = 0, text: str = "") -> ReturnKind:
    """What a failure says. status is an enhanced status, code an SMTP reply code, text what came with them."""
    if BLOCK_WORDS.search(text) or POLICY.match(status):
        return ReturnKind.BLOCK
    if NO_SUCH_ADDRESS.match(status):
        return ReturnKind.PERMANENT
    is_permanent = status.startswith("5") or (not status and code in PERMANENT_CODES)
    if is_permanent and GENERAL.match(status) and UNKNOWN_WORDS.search(text):
        return ReturnKind.PERMANENT
    return ReturnKind.TEMPORARY


def classify_told(status: str = "", code: int = 0, text: str = "", *, is_permanent: bool) -> ReturnKind:
    """The same where a provider says itself whether a failure is permanent; that it was a block may still be told."""
    kind = classify(status, code, text)
    if kind is ReturnKind.BLOCK:
        return kind
    return ReturnKind.PERMANENT if is_permanent else ReturnKind.TEMPORARY
