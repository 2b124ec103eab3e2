"""One classifier: what receivers really write, and what it means for the address."""

import pytest

from rapport.channels.replies import returned
from rapport.channels.returned import ReturnKind, classify, classify_told

PERMANENT, TEMPORARY, BLOCK = ReturnKind.PERMANENT, ReturnKind.TEMPORARY, ReturnKind.BLOCK


@pytest.mark.parametrize(
    ("status", "code", "text", "kind"),
    [
        ("5.1.1", 550, "The email account that you tried to reach does not exist", PERMANENT),
        ("5.1.10", 550, "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", PERMANENT),
        ("5.2.1", 550, "The email account that you tried to reach is disabled", PERMANENT),
        ("5.1.2", 0, "Host unknown", PERMANENT),
        ("", 550, "No such user here", PERMANENT),
        ("5.0.0", 554, "delivery error: This user doesn't have a mail.example account", PERMANENT),
        ("5.5.0", 550, "Requested action not taken: mailbox unavailable or does not exist, unknown user", PERMANENT),
        ("5.4.4", 0, "Host or domain name not found. Name service error", PERMANENT),
        ("", 550, "Unrouteable address", PERMANENT),
        ("5.2.2", 552, "The recipient's inbox is over quota", TEMPORARY),
        ("4.2.2", 452, "Mailbox full", TEMPORARY),
        ("4.4.1", 0, "connect to mx.example: Connection timed out", TEMPORARY),
        ("5.4.7", 0, "Delivery expired (message too old)", TEMPORARY),
        ("5.3.4", 552, "Message size exceeds fixed limit", TEMPORARY),
        ("", 550, "", TEMPORARY),
        ("", 450, "No such user yet", TEMPORARY),
        ("4.1.1", 450, "User unknown in local recipient table", TEMPORARY),
        ("5.7.1", 550, "Service unavailable; client host blocked", BLOCK),
        ("4.7.0", 421, "Our system has detected an unusual rate of unsolicited mail", BLOCK),
        ("5.7.26", 550, "This message does not pass authentication checks (SPF and DKIM both do not pass)", BLOCK),
        ("", 554, "Rejected: listed at zen.spamhaus.org", BLOCK),
        ("5.1.1", 550, "rejected, sender is on our blocklist", BLOCK),
        ("5.0.0", 550, "Message content rejected, suspected phishing", BLOCK),
    ],
)
def test_what_a_failure_says(status: str, code: int, text: str, kind: ReturnKind) -> None:
    assert classify(status, code, text) is kind


def test_a_provider_that_knows_is_believed_but_for_blocks() -> None:
    assert classify_told(is_permanent=True, text="gone") is PERMANENT
    assert classify_told(is_permanent=False, status="5.1.1") is TEMPORARY
    assert classify_told(is_permanent=True, status="5.7.1") is BLOCK


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("recipient rejected 550 5.1.1", PERMANENT),
        ("recipient rejected 550", TEMPORARY),
        ("recipient deferred 452 4.2.2", TEMPORARY),
        ("recipient rejected 550 5.7.1", BLOCK),
        ("recipient deferred 451 4.7.1", BLOCK),
        ("recipient rejected 553 5.6.7", None),
        ("content rejected 554 5.7.1", None),
        ("sender deferred 550 5.1.8", None),
        ("not an e-mail address", None),
    ],
)
def test_replies_while_sending_go_by_the_same(reason: str, kind: ReturnKind | None) -> None:
    assert returned(reason) is kind
