"""One condition language: parsed once, compiled to SQL for a million customers and to a predicate for one."""

from rapport.conditions.comparing import operators_of
from rapport.conditions.facts import CampaignReceipt, Event, Facts, Interaction, Item, Transaction
from rapport.conditions.nodes import Condition, Every, Reachable, attributes_in, channels_in, groups_in, leaves
from rapport.conditions.parsing import parse
from rapport.conditions.predicate import to_predicate
from rapport.conditions.schema import FIELD_KINDS, Column, Kind, Schema
from rapport.conditions.sentences import Names, sentence
from rapport.conditions.sql import Compiled, to_counts, to_sql

__all__ = [
    "FIELD_KINDS",
    "CampaignReceipt",
    "Column",
    "Compiled",
    "Condition",
    "Event",
    "Every",
    "Facts",
    "Interaction",
    "Item",
    "Kind",
    "Names",
    "Reachable",
    "Schema",
    "Transaction",
    "attributes_in",
    "channels_in",
    "groups_in",
    "leaves",
    "operators_of",
    "parse",
    "sentence",
    "to_counts",
    "to_predicate",
    "to_sql",
]
