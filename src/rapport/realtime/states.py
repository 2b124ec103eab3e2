"""States of events and firings, as records keep them."""

from enum import StrEnum


class Origin(StrEnum):
    """Where an event came from."""

    SDK = "sdk"
    SERVER = "server"
    METRIC = "metric"


class EventStatus(StrEnum):
    """What the log says of an event, and what events are counted by.

    The log has a success while it records everything.
    """

    ERROR = "error"
    WARNING = "warning"
    SUCCESS = "success"
    DUPLICATE = "duplicate"


class FiringState(StrEnum):
    """How far a firing is.

    DELAYED waits for the end of quiet hours, ASKING for the gateway, SENDING for channels of our own; DONE is final and
    FILED is in the warehouse too.
    """

    DELAYED = "delayed"
    ASKING = "asking"
    SENDING = "sending"
    DONE = "done"
    FILED = "filed"
