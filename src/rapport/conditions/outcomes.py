"""What became of a customer of a campaign, on a channel or altogether, as both engines keep it."""

from enum import StrEnum


class Outcome(StrEnum):
    """Outcomes of customers and messages; who has none yet has an empty text.

    UNREACHABLE is a verdict of the stage of a run alone: no channel of the group reaches the customer.
    """

    SENT = "sent"
    FAILED = "failed"
    EXCLUDED = "excluded"
    CAPPED = "capped"
    SKIPPED = "skipped"
    SUPPRESSED = "suppressed"
    NO_ADDRESS = "no address"
    CONTROL = "control"
    UNREACHABLE = "unreachable"


# Of whoever is kept out.
KEPT_OUT = (Outcome.EXCLUDED, Outcome.CAPPED, Outcome.SKIPPED, Outcome.SUPPRESSED, Outcome.NO_ADDRESS)
