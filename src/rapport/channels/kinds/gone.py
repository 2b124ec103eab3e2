"""What stands for the kind of a stored channel that this release does not have: nothing is sent, and others go on."""

from collections.abc import Mapping
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict

from rapport.access.scope import Scope
from rapport.channels.kinds.base import ChannelKind
from rapport.channels.messages import Content, Transport
from rapport.errors import Invalid


class AnySettings(BaseModel):
    """Settings that nobody can judge."""

    model_config = ConfigDict(extra="allow")


class GoneKind(ChannelKind):
    """A kind of which only the name is known. Whatever is asked of its channels, beyond reading them, is refused."""

    settings = AnySettings

    def __init__(self, name: str, names: list[str]) -> None:
        self.name = name  # type: ignore[misc]
        self.fault = f"The channel is of kind {name!r}, which this release does not have: it has {', '.join(names)}."

    def open(self, scope: Scope, settings: Mapping[str, Any], longest: float) -> Transport:
        """Raises Invalid."""
        self._refuse()

    def check_settings(self, scope: Scope, settings: Mapping[str, Any]) -> None:
        """Raises Invalid."""
        self._refuse()

    def check_content(self, content: Content) -> None:
        """Raises Invalid."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise Invalid(self.fault)
