"""Properties that a condition asks for and no row of the history has: a misspelt name would find nobody silently.

It is no fault: the next file or event may bring the property. So a count warns of it, and the condition can be saved.
"""

from rapport.access.scope import Scope
from rapport.audiences import queries
from rapport.conditions import Condition, leaves
from rapport.conditions.histories.registry import history_named
from rapport.conditions.language.nodes import HistoryIs
from rapport.conditions.text import most_alike


def warnings(scope: Scope, condition: Condition) -> list[str]:
    """A sentence for each property of a history that the condition names and no row has, in order of name."""
    asked = {
        (leaf.history, name) for leaf in leaves(condition) if isinstance(leaf, HistoryIs) for name, _ in leaf.properties
    }
    return [_sentence(scope, history, name) for history, name in sorted(asked) if not _is_known(scope, history, name)]


def _is_known(scope: Scope, history: str, name: str) -> bool:
    known = history_named(history)
    sql = queries.HAS_PROPERTY.format(table=known.table, properties=known.properties)
    return bool(scope.warehouse.rows(sql, name=name))


def _sentence(scope: Scope, history: str, name: str) -> str:
    known = history_named(history)
    names = scope.warehouse.value(queries.PROPERTY_NAMES.format(table=known.table, properties=known.properties))
    alike = f"the most similar property is {most_alike(name, sorted(names))!r}" if names else "no row has properties"
    return f"No row of {history} has a property {name!r} yet; {alike}."
