"""One condition language: parsed once, compiled to SQL for a million customers and to a predicate for one."""

from rapport.conditions.comparing import operators_of
from rapport.conditions.evaluation.facts import Facts
from rapport.conditions.evaluation.history_facts import load_histories
from rapport.conditions.evaluation.predicate import Predicate, to_predicate
from rapport.conditions.language.nodes import Condition, Every, Reachable, attributes_in, channels_in, groups_in, leaves
from rapport.conditions.language.parsing import parse
from rapport.conditions.language.sentences import Names, sentence
from rapport.conditions.schema import FIELD_KINDS, Column, Kind, Schema
from rapport.conditions.sql.compiling import Compiled, to_counts, to_expressions, to_sql

__all__ = [
    "FIELD_KINDS",
    "Column",
    "Compiled",
    "Condition",
    "Every",
    "Facts",
    "Kind",
    "Names",
    "Predicate",
    "Reachable",
    "Schema",
    "attributes_in",
    "channels_in",
    "groups_in",
    "leaves",
    "load_histories",
    "operators_of",
    "parse",
    "sentence",
    "to_counts",
    "to_expressions",
    "to_predicate",
    "to_sql",
]
