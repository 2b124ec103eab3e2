"""Structured logs: one JSON object a line on standard error, without secrets."""

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

SECRETS = re.compile(r"rap_[A-Za-z0-9_-]{8,}|whsec_[A-Za-z0-9+/=_-]+|(?<=://)[^/@\s]+(?=@)")
HIDDEN = re.compile(r"secret|token|password|authorization|api_key", re.IGNORECASE)
QUIET = ("httpx", "httpcore", "clickhouse_connect", "alembic", "dbos", "mail.log")


def mask(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor: keys, signing secrets and passwords in addresses are hidden, wherever they stand."""
    for name, value in event.items():
        if HIDDEN.search(name):
            event[name] = "***"
        elif isinstance(value, str):
            event[name] = SECRETS.sub("***", value)
    return event


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
        structlog.processors.format_exc_info,
        mask,
        structlog.processors.JSONRenderer(),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=render, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def for_command() -> None:
    """For commands other than serve: what went wrong is told in one line, not logged, unless the level is DEBUG."""
    if os.environ.get("RAPPORT_LOG_LEVEL", "").upper() == "DEBUG":
        configure("DEBUG")
        return
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
