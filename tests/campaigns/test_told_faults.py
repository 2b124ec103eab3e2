"""What the log and a person are told of a fault in the work of campaigns."""

from structlog.testing import capture_logs

from rapport.campaigns.faults import told
from rapport.errors import Conflict


def test_a_refusal_is_told_in_its_own_words() -> None:
    with capture_logs() as logs:
        assert (
            told("run failed", Conflict("The code 'X' is not linked."), campaign_id=3) == "The code 'X' is not linked."
        )
    assert logs == [
        {"event": "run failed", "reason": "The code 'X' is not linked.", "campaign_id": 3, "log_level": "warning"}
    ]


def test_what_nobody_foresaw_has_its_traceback_in_the_log_alone() -> None:
    fault = OSError("disk 7 is on fire")
    with capture_logs() as logs:
        assert told("run failed", fault, campaign_id=3) == "An engine failed: see the log."
    assert logs == [{"event": "run failed", "exc_info": fault, "campaign_id": 3, "log_level": "error"}]
