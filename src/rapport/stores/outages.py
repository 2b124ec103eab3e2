"""Whether an error says that an engine is away for now, and in which words: its work then waits and goes on."""

import re

import psycopg
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as NoneFree
from urllib3.exceptions import HTTPError

from rapport.errors import Away

RECORDS_AWAY = "The records database does not answer: check RAPPORT_RECORDS_URL and that the server runs."
WAREHOUSE_AWAY = "The warehouse does not answer: check RAPPORT_WAREHOUSE_URL and that the server runs."
NONE_FREE = (
    "Every connection that this process may open to the records database is in use: "
    "try again, or raise RAPPORT_RECORDS_CONNECTIONS."
)
# What PostgreSQL answers to who wants to connect, by what its sentence holds: it comes without a code.
REFUSED = {
    r"password authentication failed|no password supplied": (
        "The records database refuses the user or the password of RAPPORT_RECORDS_URL."
    ),
    r"no pg_hba.conf entry": (
        "The records server takes no such connection: its pg_hba.conf wants another user, database or sslmode "
        "in RAPPORT_RECORDS_URL."
    ),
    r"database .* does not exist": "The records server has no database of the name in RAPPORT_RECORDS_URL: create it.",
    r"role .* does not exist": "The records server has no user of the name in RAPPORT_RECORDS_URL: create it.",
    r"too many c|remaining connection slots": (
        "The records server has no connection left: raise its max_connections, or lower RAPPORT_RECORDS_CONNECTIONS "
        "and RAPPORT_WORK_CONNECTIONS."
    ),
    r"starting up|shutting down|not yet accepting|recovery mode": "The records database is starting or stopping.",
    r"unsupported startup parameter": (
        "A pooler is between Rapport and the records database and refuses its options: "
        "RAPPORT_RECORDS_URL must lead to the server itself, or to a pooler of sessions."
    ),
    r"SSL|certificate": (
        "The records server and RAPPORT_RECORDS_URL do not agree about TLS: check sslmode and sslrootcert."
    ),
    r"resolve host|translate host|Name or service": ("The host of RAPPORT_RECORDS_URL has no address: check its name."),
    r"timeout expired|timed out": (
        "The records database does not answer in time: check the host and the port of RAPPORT_RECORDS_URL."
    ),
    r"invalid connection option|invalid URI": "RAPPORT_RECORDS_URL has an option that PostgreSQL does not know.",
}
# Classes and codes of PostgreSQL: connections, resources, a server that stops, a session that it ended, a statement
# that it gave up. A full disk is told by faults.
PASSING = ("08", "53", "57P", "57014", "25P03")
# Of ClickHouse: time-outs, a network fault, too many queries, a server that stops, read-only replicas, no keeper.
PASSING_CODES = {159, 202, 203, 209, 210, 225, 236, 242, 279, 319, 394, 425, 999}
# What SQLAlchemy calls the use of a connection that was lost before.
LOST_BEFORE = "8s2b"
GATEWAY_STATUS = re.compile(r"HTTP status (502|503|504)|HTTPDriver.*returned response code (502|503|504)")


def outage(error: BaseException) -> Away | None:
    """What to tell when an error, or one behind it, says that an engine is away; None for every other error."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, Away):
            return seen
        if (sentence := _of_records(seen) or _of_warehouse(seen)) is not None:
            return Away(sentence)
        seen = getattr(seen, "orig", None) or seen.__cause__
    return None


def _of_records(error: BaseException) -> str | None:
    if isinstance(error, NoneFree):
        return NONE_FREE
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if lost or (isinstance(error, PendingRollbackError) and error.code == LOST_BEFORE):
        return RECORDS_AWAY
    if not isinstance(error, psycopg.Error):
        return None
    if error.sqlstate is not None and not error.sqlstate.startswith(PASSING):
        return None
    if error.sqlstate is None and not isinstance(error, psycopg.OperationalError) and "closed" not in str(error):
        return None
    return refusal(str(error))


def refusal(message: str) -> str:
    """Why the records server took no connection, from its own words."""
    return next((sentence for words, sentence in REFUSED.items() if re.search(words, message)), RECORDS_AWAY)


def _of_warehouse(error: BaseException) -> str | None:
    if isinstance(error, HTTPError):
        return WAREHOUSE_AWAY
    if not isinstance(error, ClickHouseError):
        return None
    code = getattr(error, "code", None)
    cut_off = code is None and isinstance(error, OperationalError)
    return WAREHOUSE_AWAY if cut_off or code in PASSING_CODES or GATEWAY_STATUS.search(str(error)) else None
