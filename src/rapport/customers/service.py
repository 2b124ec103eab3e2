"""What other packages may ask of customers."""

from rapport.customers.attribute_writes import spelling
from rapport.customers.attributes import (
    COLUMN_TYPES,
    AttributeInfo,
    attributes,
    declare,
    find,
    rendered,
)
from rapport.customers.changes import change_attribute, create_attribute
from rapport.customers.checks import (
    KindChecks,
    LoadCheck,
    LoadCheckFailed,
    VolumeCheck,
    check_loads,
    load_checks,
    set_load_checks,
)
from rapport.customers.event_types import ensure as ensure_event_types
from rapport.customers.event_types import event_type, event_types
from rapport.customers.imports import ImportResult, import_file, import_of, imports
from rapport.customers.jobs import add_attribute, job, naming, remove_pii, update_attributes, upsert
from rapport.customers.locks import writing
from rapport.customers.mapping import FileMapping, read_mapping
from rapport.customers.persons import delete_staged, erase, export, is_removed, leave_disk, purge
from rapport.customers.pii import stage_known
from rapport.customers.products import product_attribute_expressions
from rapport.customers.queries import attribute_values, instants, last_two_dates

__all__ = [
    "COLUMN_TYPES",
    "AttributeInfo",
    "FileMapping",
    "ImportResult",
    "KindChecks",
    "LoadCheck",
    "LoadCheckFailed",
    "VolumeCheck",
    "add_attribute",
    "attribute_values",
    "attributes",
    "change_attribute",
    "check_loads",
    "create_attribute",
    "declare",
    "delete_staged",
    "ensure_event_types",
    "erase",
    "event_type",
    "event_types",
    "export",
    "find",
    "import_file",
    "import_of",
    "imports",
    "instants",
    "is_removed",
    "job",
    "last_two_dates",
    "leave_disk",
    "load_checks",
    "naming",
    "product_attribute_expressions",
    "purge",
    "read_mapping",
    "remove_pii",
    "rendered",
    "set_load_checks",
    "spelling",
    "stage_known",
    "update_attributes",
    "upsert",
    "writing",
]
