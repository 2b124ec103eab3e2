"""What persons said since a backup, put into the records again after a restore: see access.kept."""

from datetime import datetime
from typing import Any

from sqlalchemy import text

from rapport.access.pseudonyms import pseudonyms
from rapport.access.scope import Scope
from rapport.messaging import queries
from rapport.messaging.contactability import suppressions
from rapport.messaging.contactability.excluding import EXCLUDE, LIFT
from rapport.messaging.contactability.preferences import REPLACE_ERASED, SET
from rapport.messaging.contactability.suppressed_addresses import ADD, LET_IN, rows_of
from rapport.messaging.models import ERASED
from rapport.messaging.topics import subscriptions

ALLOW = """
    DELETE FROM suppressions WHERE tenant_id = :tenant_id AND channel_id = :channel_id
        AND customer_key = ANY(CAST(:keys AS text[]))
"""
ALLOW_ADDRESSES = """
    DELETE FROM suppressed_addresses WHERE tenant_id = :tenant_id AND channel_id = :channel_id AND app_key = ''
        AND listed = ANY(CAST(:lists AS text[])) AND customer_key = ANY(CAST(:keys AS text[]))
"""


def _named(scope: Scope, marks: list[str]) -> dict[str, str]:
    """The CustomerID to each pseudonym, where one is known."""
    customer_ids = queries.known(scope, marks)
    return dict(zip(pseudonyms(scope, customer_ids), customer_ids, strict=True))


def suppress_again(scope: Scope, entry: dict[str, Any]) -> None:
    """A suppression of persons; unknown ones are kept by pseudonym."""
    named = _named(scope, entry["of"])
    keys = [named[mark].lower() if mark in named else mark for mark in entry["of"]]
    ids = [named.get(mark, ERASED) for mark in entry["of"]]
    why = {"reason": entry["reason"], "source": entry.get("source", "")}
    parameters = {"tenant_id": scope.tenant_id, "channel_id": entry["channel"], **why}
    with scope.records() as session:
        session.execute(
            text(suppressions.SUPPRESS_MANY), {**parameters, "keys": keys, "ids": ids, "at": scope.clock.now()}
        )


def allow_again(scope: Scope, entry: dict[str, Any]) -> None:
    """A suppression that was taken back."""
    keys = [*entry["of"], *(customer_id.lower() for customer_id in _named(scope, entry["of"]).values())]
    parameters = {"tenant_id": scope.tenant_id, "channel_id": entry["channel"], "keys": keys}
    with scope.records() as session:
        session.execute(text(ALLOW), parameters)
        session.execute(text(ALLOW_ADDRESSES), {**parameters, "lists": LET_IN})


def keep_addresses_again(scope: Scope, entry: dict[str, Any]) -> None:
    """Addresses, as marks, of persons who said no."""
    named = _named(scope, [mark for _, mark in entry["of"]])
    keys = [named[mark].lower() if mark in named else mark for _, mark in entry["of"]]
    parameters = {"tenant_id": scope.tenant_id, "channel_id": entry["channel"], "app_key": entry["app"]}
    marked = {(mark, key): "" for (mark, _), key in zip(entry["of"], keys, strict=True)}
    why = {name: entry.get(name, "") for name in ("listed", "reason", "source")}
    values = {**rows_of(scope, marked), **why}
    with scope.records() as session:
        session.execute(ADD, {**parameters, **values, "at": scope.clock.now()})


def prefer_again(scope: Scope, entry: dict[str, Any]) -> None:
    """How persons may be contacted on a channel or an app of it; addresses have entries of their own."""
    named, app = _named(scope, entry["of"]), entry["app"]
    keys = [named[mark].lower() if mark in named else mark for mark in entry["of"]]
    ids = [named.get(mark, ERASED) for mark in entry["of"]]
    parameters = {"tenant_id": scope.tenant_id, "channel_id": entry["channel"], "app_key": app.lower()}
    values = {"keys": keys, "ids": ids, "app_id": app, "mode": entry["mode"], "at": scope.clock.now()}
    with scope.records() as session:
        session.execute(text(REPLACE_ERASED), {**parameters, "marks": [mark for mark in entry["of"] if mark in named]})
        session.execute(text(SET), {**parameters, **values})


def exclude_again(scope: Scope, entry: dict[str, Any]) -> None:
    """An exclusion of persons, each with its end; unknown ones are kept by pseudonym."""
    marks = [mark for mark, _ in entry["of"]]
    named = _named(scope, marks)
    parameters = {
        "tenant_id": scope.tenant_id,
        "keys": [named[mark].lower() if mark in named else mark for mark in marks],
        "ids": [named.get(mark, ERASED) for mark in marks],
        "ends": [datetime.fromisoformat(ends_at) if ends_at else None for _, ends_at in entry["of"]],
        "begins_at": datetime.fromisoformat(entry["begins"]),
        "now": scope.clock.now(),
        "reason": entry["reason"],
        "made_by": entry["by"],
    }
    with scope.records() as session:
        session.execute(EXCLUDE, parameters)


def lift_again(scope: Scope, entry: dict[str, Any]) -> None:
    """The exclusions of persons that were lifted."""
    keys = [*entry["of"], *(customer_id.lower() for customer_id in _named(scope, entry["of"]).values())]
    with scope.records() as session:
        bound = {"tenant_id": scope.tenant_id, "keys": keys, "now": datetime.fromisoformat(entry["at"])}
        session.execute(LIFT, {**bound, "lifted_by": entry["by"]})


def subscribe_again(scope: Scope, entry: dict[str, Any]) -> None:
    """Whether persons are subscribed to a topic on the channels of a number."""
    named = _named(scope, entry["of"])
    changes = {(str(entry["topic"]), int(entry["number"])): bool(entry["subscribed"])}
    with scope.records() as session:
        for mark in entry["of"]:
            key = named[mark].lower() if mark in named else mark
            subscriptions.enter(scope, session, key, named.get(mark, ERASED), changes)
