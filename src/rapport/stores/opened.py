"""What the open stores give to those modules that they are themselves made of."""

from typing import Protocol

from rapport.settings import Settings
from rapport.stores.records import Records
from rapport.stores.workers.base import Workers


class OpenStores(Protocol):
    """The settings, records and workers of open stores."""

    @property
    def settings(self) -> Settings:
        """What the operator set."""

    @property
    def records(self) -> Records:
        """The pool of connections to the records."""

    @property
    def workers(self) -> Workers:
        """The workers of this process."""
