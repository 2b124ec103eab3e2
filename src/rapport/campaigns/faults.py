"""Faults of durable work of campaigns: which may be met, how often one is tried again, and what a person is told."""

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy.exc import SQLAlchemyError

from rapport.errors import RapportError
from rapport.stores.workflows import work

log = structlog.get_logger("rapport.campaigns")

FAULTS = (RapportError, work.StepFailed, SQLAlchemyError, ClickHouseError, OSError)
# Faults that may pass are tried this often before the work is given up; engines that are away are waited for.
ATTEMPTS, PAUSE_SECONDS = 3, 1.0


def told(event: str, fault: BaseException, **about: object) -> str:
    """Tell the log of a fault, and give back what a person may read of it.

    A refusal is told in its own words: whoever set something up can mend it. Anything else has its traceback.
    """
    if isinstance(fault, RapportError):
        log.warning(event, reason=fault.message, **about)
        return fault.message
    log.error(event, exc_info=fault, **about)
    return "An engine failed: see the log."
