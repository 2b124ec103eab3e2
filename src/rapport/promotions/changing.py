"""How commands change a promotion or its tenant: in order, in one transaction, all or none."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import ValidationError
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.errors import Invalid, NotFound, PreconditionFailed, RapportError
from rapport.promotions.definitions import Definition
from rapport.wording import sentence

MOST_COMMANDS = 100


class _Versioned(Protocol):
    id: Any
    version: Any
    updated_at: Any


Subject = TypeVar("Subject", bound=_Versioned)
T = TypeVar("T")


class Change(ABC, Generic[Subject]):
    """One transaction: what the commands change, and which method runs which command.

    subject is the object as it is after the commands so far; None while there is none. id is the one that was asked
    for, None for whichever there is.
    """

    what: ClassVar[str]
    runs: Mapping[str, Callable[[Any], None]]

    def __init__(self, scope: Scope, session: Session, id: str | None, subject: Subject | None) -> None:
        self.scope, self.session, self.id, self.subject = scope, session, id, subject

    def existing(self) -> Subject:
        """The object. Raises NotFound."""
        if self.subject is None:
            raise NotFound(f"There is no {self.what} {self.id!r}." if self.id else f"There is no {self.what} yet.")
        return self.subject

    @abstractmethod
    def finish(self, names: Sequence[str]) -> None:
        """What is kept of the commands that have run, in the same transaction."""


def run_commands(change: Change[Any], commands: Sequence[Definition], version: int | None, *, listed: bool) -> None:
    """Run commands one after the other; the version grows by one for all of them.

    version is the one that the caller has seen, None for any. listed: errors name the place of the command. Raises
    PreconditionFailed for another version, and what the commands raise.
    """
    if version is not None and (change.subject is None or change.subject.version != version):
        now = "is not there" if change.subject is None else f"has version {change.subject.version} now"
        raise PreconditionFailed(f"The {change.what} {now}, not version {version}: read it again.")
    for place, command in enumerate(commands):
        try:
            change.runs[name_of(command)](command)
            change.session.flush()
        except RapportError as error:
            if listed:
                error.message = f"commands[{place}] ({name_of(command)}): {error.message}"
            raise
    if change.subject is not None:
        change.subject.version += 1
        change.subject.updated_at = change.scope.clock.now()
    change.finish([name_of(command) for command in commands])


def name_of(command: Definition) -> str:
    """The name of a command."""
    return str(command.type)  # type: ignore[attr-defined]


def commands_of(data: Any, known: Iterable[type[Definition]]) -> list[Definition]:
    """The commands of a transaction's JSON. Raises Invalid that names the place of the fault."""
    if not isinstance(data, list) or not 1 <= len(data) <= MOST_COMMANDS:
        raise Invalid(f"commands must be a list of 1 to {MOST_COMMANDS} commands.")
    by_name = {str(model.model_fields["type"].default).lower(): model for model in known}
    return [_command(command, by_name, f"commands[{place}]") for place, command in enumerate(data)]


def _command(data: Any, by_name: Mapping[str, type[Definition]], at: str) -> Definition:
    if not isinstance(data, dict):
        raise Invalid(f"{at} must be an object.")
    members = {str(name).lower(): name for name in data}
    type_ = data.get(members.get("type", "type"))
    model = by_name.get(str(type_).lower())
    if model is None:
        names = ", ".join(str(model.model_fields["type"].default) for model in by_name.values())
        raise Invalid(f"{at}.type must be one of {names}.")
    return read(model, {**data, members["type"]: model.model_fields["type"].default}, at)


Model = TypeVar("Model", bound=Definition)


def read(model: type[Model], data: Any, at: str = "") -> Model:
    """JSON as a part of a promotion or its tenant; at is where it stands, for errors. Raises Invalid."""
    if not isinstance(data, dict):
        raise Invalid(f"{at or 'The body'} must be a JSON object.")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise Invalid(sentence(error.errors(), data, at, model)) from error


def bound(value: T | None, name: str) -> T:
    """A member that may be left out, but not be null. Raises Invalid."""
    if value is None:
        raise Invalid(f"{name} must not be null.")
    return value
