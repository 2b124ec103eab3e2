"""States of imports and of writes of attributes, and where attributes come from, as records keep them."""

from enum import StrEnum


class ImportState(StrEnum):
    """How far the import of a file is, and why it is no further.

    UNCHANGED was loaded before, CHECKED was a dry run, NEEDS_CONFIRMATION would remove too many customers.
    """

    RUNNING = "running"
    LOADED = "loaded"
    REFUSED = "refused"
    FAILED = "failed"
    UNCHANGED = "unchanged"
    NEEDS_CONFIRMATION = "needs_confirmation"
    CHECKED = "checked"


class ImportMode(StrEnum):
    """Whether a file is everything that there is, or what is new."""

    FULL = "full"
    INCREMENTAL = "incremental"


class CallbackState(StrEnum):
    """Whether somebody is still to be told the outcome of a write."""

    NONE = "none"
    WAITING = "waiting"
    TAKEN = "taken"


class AttributeSource(StrEnum):
    """Where the values of an attribute come from: files, the API, features of the daily cycle, or its results."""

    BATCH = "batch"
    API = "api"
    CALCULATED = "calculated"
    MODEL = "model"


# Of attributes that customers have themselves, beside what is computed of them every day.
STORED_SOURCES = (AttributeSource.BATCH, AttributeSource.API)
