"""What a vendor's event says that a customer did with a message: one reading of its name and of what it tells besides.

Only what is said for good stops further messages. What may pass (soft, transient, deferred) is a soft bounce; a bounce
that was a block, as the classifier of returned mail says, tells nothing of the address, so the message was dropped; and
what somebody did on a page (viewed, bounced from it) says nothing about messages.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rapport.channels.returned import ReturnKind, classify
from rapport.conditions.interaction_codes import (
    BOUNCED,
    CLICKED,
    DELIVERED,
    DROPPED,
    OPENED,
    SENT,
    SPAM_REPORT,
    UNSUBSCRIBED,
)

# Beside the codes of interactions, of which it is none.
SOFT_BOUNCED = -1
WORDS = {
    "sent": SENT,
    "send": SENT,
    "delivered": DELIVERED,
    "delivery": DELIVERED,
    "opened": OPENED,
    "open": OPENED,
    "clicked": CLICKED,
    "click": CLICKED,
    "unsubscribed": UNSUBSCRIBED,
    "unsubscribe": UNSUBSCRIBED,
    "optout": UNSUBSCRIBED,
    "dropped": DROPPED,
    "drop": DROPPED,
    "spam": SPAM_REPORT,
    "complaint": SPAM_REPORT,
    "complained": SPAM_REPORT,
    "bounced": BOUNCED,
    "bounce": BOUNCED,
}
# What messages are called in the names of vendors' events, and what happens to them besides.
MESSAGES = re.compile(
    r"(sms|mms|rcs|e?mail|push)\w*|messages?|notifications?|letters?|whatsapp|viber|telegram|seen|read|displayed|resent|"
    "repl(y|ied)"
)
UNDONE = re.compile(f"un({'|'.join(WORDS)})")
# Words that deny what stands beside them; a failure denies everything but what is one.
NEGATIONS = {"not", "no", "non", "un", "never", "without", "cannot"}
FAILURE = re.compile(
    "(fail|error|reject|refus|cancel|delay).*|denied|deferred|blocked|aborted|expired|invalid|unable|unsuccessful|"
    f"undeliverable|{UNDONE.pattern}"
)
# A bounce that may pass; anything else that bounced is for good.
SOFT = re.compile(
    "soft.*|transient|temp|temporar(y|ily)|defer.*|delay.*|retr(y|ied|ying)|throttled?|greylist(ed)?|full|quota|"
    "overquota|mailboxfull|ooo|vacation|autoreply|autoresponder|outofoffice|undetermined|timeout|challenge|dns|size|"
    "large"
)
# How the names of blocks go that the classifier does not know from the texts of mail servers.
BLOCK = re.compile("block|policy|content")
HARD = re.compile("hard.*|perm|permanent.*|permfail|invalid.*|nonexistent")
# Where something is shown, counted or only begun: who looks at a page of unsubscribing has not unsubscribed.
SHOWN = re.compile(
    "page.*|screen|view.*|visit.*|session|site|website|rate|ratio|count|landing|popup|banner|scroll|link|button|"
    "check|test|start(ed)?|begin|began|attempt(ed)?|intent"
)
DONE = re.compile("submit(ted)?|complete(d)?|confirm(ed|ation)?|success(ful)?|done|processed")
# Words that say by themselves that it was done.
PLAIN = frozenset({"unsubscribed", "optout", "complained"})
STOPPING = frozenset({UNSUBSCRIBED, SPAM_REPORT, BOUNCED})
OPT_OUT = re.compile(r"opt(ed)?[\W_]*out", re.IGNORECASE)
# Runs of letters, cut before a capital: smsNotDelivered, SMSDelivered.
CUT = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# Parameters in which vendors say of which kind a bounce is.
BOUNCE_KINDS = frozenset(
    {"bouncetype", "type", "subtype", "bouncesubtype", "severity", "bouncecategory", "bounceclass", "classification"}
)
STATUS = re.compile(r"\s*([245])[.]?\d")
STATUSES = frozenset({"status", "statuscode", "code", "smtpcode", "enhancedstatus", "dsn", "errorcode"})


def interaction_of(event: str, parameters: Mapping[str, Any]) -> int | None:
    """What the customer did, by an event's name; None when the name does not say it, or says that it was not so."""
    words = _all_words(OPT_OUT.sub(" optout ", event))
    if not NEGATIONS.isdisjoint(words):
        return None
    failed = any(FAILURE.fullmatch(word) for word in words)
    shown = any(SHOWN.fullmatch(word) for word in words) and not any(DONE.fullmatch(word) for word in words)
    meaningful = (
        word for word in words if word in WORDS and (word in PLAIN or not (shown and WORDS[word] in STOPPING))
    )
    kinds = (WORDS[word] for word in meaningful if not failed or WORDS[word] in (DROPPED, BOUNCED))
    kind = next(kinds, None)
    return _bounce(words, parameters) if kind == BOUNCED else kind


def _bounce(words: Sequence[str], parameters: Mapping[str, Any]) -> int:
    """What a bounce is, by the words of its name and by what its parameters say."""
    fields = {re.sub(r"[^a-z]", "", name.lower()): str(value) for name, value in parameters.items()}
    bounce_words = [word for name in sorted(BOUNCE_KINDS & fields.keys()) for word in _all_words(fields[name])]
    statuses = [fields[name].strip() for name in sorted(STATUSES & fields.keys())]
    if _is_block([*words, *bounce_words], statuses):
        return DROPPED
    return SOFT_BOUNCED if _may_pass(words, bounce_words, statuses) else BOUNCED


def _is_block(words: Sequence[str], statuses: Sequence[str]) -> bool:
    """Whether a receiver refused the sender or the content."""
    said = [classify(text=" ".join(words)), *(classify(status=status) for status in statuses)]
    return ReturnKind.BLOCK in said or any(BLOCK.fullmatch(word) for word in words)


def is_of_message(event: str) -> bool:
    """Whether an event's name says that it is about messages: what one is called, or what becomes of one."""
    words = _all_words(OPT_OUT.sub(" optout ", event))
    return any(word in WORDS or UNDONE.fullmatch(word) or MESSAGES.fullmatch(word) for word in words)


def _may_pass(words: Sequence[str], bounce_words: Sequence[str], statuses: Sequence[str]) -> bool:
    """Whether a bounce is one that may pass, by the words of its name and then by what its parameters say."""
    for said in (words, bounce_words):
        if any(HARD.fullmatch(word) for word in said):
            return False
        if any(SOFT.fullmatch(word) for word in said):
            return True
    codes = [match[1] for status in statuses if (match := STATUS.match(status))]
    return "4" in codes and "5" not in codes


def _all_words(text: str) -> list[str]:
    return [word for letters in re.findall(r"[A-Za-z]+", text) for word in _words(letters)]


def _words(letters: str) -> list[str]:
    """The words in a run of letters; one that is known is not cut (OptOut, UnSubscribed)."""
    whole = letters.lower()
    return [whole] if whole in WORDS else [word.lower() for word in CUT.findall(letters)]
