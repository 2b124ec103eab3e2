"""The histories that there are: a new one is a module beside this one and a name in HISTORIES."""

from typing import Any

from rapport.conditions.histories.activity import Activity
from rapport.conditions.histories.base import History
from rapport.conditions.histories.campaigns import Campaigns
from rapport.conditions.histories.interactions import Interactions
from rapport.conditions.histories.transactions import Transactions

# By the name that conditions call it by.
HISTORIES: dict[str, History[Any]] = {
    history.name: history for history in (Transactions(), Activity(), Campaigns(), Interactions())
}


def history_named(name: str) -> History[Any]:
    """The history of a parsed condition."""
    return HISTORIES[name]


def histories() -> list[History[Any]]:
    """All histories, in a fixed order."""
    return list(HISTORIES.values())
