"""What other packages may ask of customers."""

from rapport.customers.attributes import (
    COLUMN_TYPES,
    AttributeInfo,
    attributes,
    declare,
    find,
    rendered,
)
from rapport.customers.event_types import event_type, event_types
from rapport.customers.imports import ImportResult, import_file, import_of, imports
from rapport.customers.locks import writing
from rapport.customers.mapping import FileMapping, read_mapping

__all__ = [
    "COLUMN_TYPES",
    "AttributeInfo",
    "FileMapping",
    "ImportResult",
    "attributes",
    "declare",
    "event_type",
    "event_types",
    "find",
    "import_file",
    "import_of",
    "imports",
    "read_mapping",
    "rendered",
    "writing",
]
