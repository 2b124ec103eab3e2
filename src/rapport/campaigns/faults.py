"""Faults of durable work of campaigns: which may be met, how often one is tried again, and what a person is told."""

from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy.exc import SQLAlchemyError

from rapport.errors import RapportError
from rapport.stores.workflows import work

FAULTS = (RapportError, work.StepFailed, SQLAlchemyError, ClickHouseError, OSError)
# Faults that may pass are tried this often before the work is given up; engines that are away are waited for.
ATTEMPTS, PAUSE_SECONDS = 3, 1.0


def sentence(error: BaseException) -> str:
    """What a person may read of a fault; the whole of it is in the log."""
    return error.message if isinstance(error, RapportError) else "An engine failed: see the log."
