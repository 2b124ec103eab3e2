"""What the open stores give to those modules that they are themselves made of."""

from typing import Protocol

from rapport.settings import Settings
from rapport.stores.records import Records


class Opened(Protocol):
    """The settings and the records of open stores."""

    @property
    def settings(self) -> Settings:
        """What the operator set."""

    @property
    def records(self) -> Records:
        """The pool of connections to the records."""
