"""One condition language: parsed once, compiled to SQL for a million customers and to a predicate for one."""

from rapport.conditions.comparing import operators_of
from rapport.conditions.facts import CampaignReceipt, Event, Facts, Interaction, Item, Transaction
from rapport.conditions.nodes import Condition, attributes_in, groups_in
from rapport.conditions.parsing import parse
from rapport.conditions.predicate import to_predicate
from rapport.conditions.schema import FIELD_KINDS, Column, Kind, Schema
from rapport.conditions.sentences import Names, sentence
from rapport.conditions.sql import Compiled, to_sql

__all__ = [
    "FIELD_KINDS",
    "CampaignReceipt",
    "Column",
    "Compiled",
    "Condition",
    "Event",
    "Facts",
    "Interaction",
    "Item",
    "Kind",
    "Names",
    "Schema",
    "Transaction",
    "attributes_in",
    "groups_in",
    "operators_of",
    "parse",
    "sentence",
    "to_predicate",
    "to_sql",
]
