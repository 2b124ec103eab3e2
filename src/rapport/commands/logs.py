"""Structured logs: one JSON object a line on standard error, without secrets."""

import logging
import os
import re
import sys
import threading
import time
from collections.abc import MutableMapping
from typing import Any

import structlog

from rapport.masks import masked

SECRETS = re.compile(
    r"\b(?:rap|rt|rv)_[A-Za-z0-9_-]{8,}|\bsdk-[A-Za-z0-9_-]{43}"  # API keys, tokens of events
    r"|\bwhsec_[A-Za-z0-9+/=_-]+"  # signing secrets
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"  # signed tokens (JWT)
    r"|(?<=://)[^/@\s]+(?=@)"  # users and passwords in addresses
    r"|(?<=/unsubscribe/)[^\s\"'?]+"
    r"|(?<![^\s\"'<(\[=:,;])[\w.+-]+@[\w-]+\.[\w.-]+"  # addresses of persons
    r"|(?<=DETAIL:)[^\n]*|(?<=CONTEXT:)[^\n]*"  # what PostgreSQL tells of the row that it refused
)
ADDRESS = re.compile(r"https?://[^\s\"'<>\\]+")
HIDDEN = re.compile(r"secret|token|password|authorization|api_key", re.IGNORECASE)
# The same line of the same place, from however many threads and requests: one of them a second is enough.
AGAIN_SECONDS = 1.0
MOST_REMEMBERED = 10_000
QUIET = ("httpx", "httpcore", "alembic", "dbos", "mail.log")
# What they warn of is told by whoever meets it; their own words hold addresses with all that was bound in them.
SILENT = ("clickhouse_connect", "urllib3.connectionpool")


def mask(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor: keys, signing secrets and secrets in addresses are hidden, wherever they stand."""
    for name, value in event.items():
        if HIDDEN.search(name):
            event[name] = "***"
        elif isinstance(value, str):
            event[name] = ADDRESS.sub(_shown, SECRETS.sub("***", value))
    return event


def _shown(address: re.Match[str]) -> str:
    try:
        return masked(address[0])
    except ValueError:  # it only looks like one
        return "http://***"


def plainly(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor: that an engine is away takes a sentence and no traceback."""
    from rapport.stores.outages import outage  # with it come the drivers of the engines, which few commands need

    exc_info = event.get("exc_info")
    error = exc_info[1] if isinstance(exc_info, tuple) else sys.exc_info()[1] if exc_info is True else exc_info
    if isinstance(error, BaseException) and (away := outage(error)) is not None:
        del event["exc_info"]
        event["reason"] = away.message
    return event


class RepeatFilter(logging.Filter):
    """Lets a warning or error through once a second, and says how many like it were left out before."""

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[tuple[Any, ...], tuple[float, int]] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write a record."""
        if record.levelno < logging.WARNING:
            return True
        key, now = _sameness(record), time.monotonic()
        with self._lock:
            at, left_out = self._written.get(key, (float("-inf"), 0))
            if now - at < AGAIN_SECONDS:
                self._written[key] = (at, left_out + 1)
                return False
            if len(self._written) >= MOST_REMEMBERED:
                self._written.clear()
            self._written[key] = (now, 0)
        if left_out and isinstance(record.msg, dict):
            record.msg = {**record.msg, "left_out": left_out}
        return True


def _sameness(record: logging.LogRecord) -> tuple[Any, ...]:
    """What makes two records one fault: where they come from, what they say, and whom it is about."""
    if isinstance(record.msg, dict):
        event = record.msg
        return record.name, *(event.get(name) for name in ("event", "tenant_id", "tenant", "what", "step"))
    return record.name, record.pathname, record.lineno


def configure(level: str) -> None:
    """Send structlog's and the standard library's records through one renderer."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    render: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        plainly,
        structlog.processors.format_exc_info,
        mask,
        structlog.processors.JSONRenderer(),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(RepeatFilter())
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=render, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # It would write lines of a form of its own beside ours, unless it has a handler already.
    dbos = logging.getLogger("dbos")
    dbos.handlers[:], dbos.propagate = [logging.NullHandler()], True
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in SILENT:
        logging.getLogger(name).setLevel(logging.ERROR)


def for_command() -> None:
    """For commands other than serve: what went wrong is told in one line, not logged, unless the level is DEBUG."""
    if os.environ.get("RAPPORT_LOG_LEVEL", "").upper() == "DEBUG":
        configure("DEBUG")
        return
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
