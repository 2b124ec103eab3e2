"""What other packages may ask of customers."""

from rapport.customers.activity import ACTIVITY, add_activity, copy_activity
from rapport.customers.attributes import (
    COLUMN_TYPES,
    AttributeInfo,
    attributes,
    attributes_read_once,
    declare,
    equals,
    find,
    forbidding,
    rendered,
)
from rapport.customers.changes import change_attribute, create_attribute
from rapport.customers.consent import PERMISSION, Consent, Consents, ConsentSettings, check_consents, consents, word_sql
from rapport.customers.consent_marks import conversion_checks, convert_all
from rapport.customers.consent_marks import mark as mark_consent
from rapport.customers.core_events import AUTOMATIC, CORE_EVENTS, CoreEvent
from rapport.customers.event_types import (
    change_event_type,
    declare_event_type,
    event_type,
    event_type_named,
    event_types,
    note_event_types,
)
from rapport.customers.event_types import ensure as ensure_event_types
from rapport.customers.identity import NOBODY, identifies_nobody, says_nothing
from rapport.customers.importing.imports import ImportResult, import_file, import_of, imports
from rapport.customers.importing.load_checks import (
    KindChecks,
    LoadCheck,
    LoadCheckFailed,
    VolumeCheck,
    check_loads,
    load_checks,
    set_load_checks,
)
from rapport.customers.importing.mapping import FileMapping, read_mapping, with_blank_cells
from rapport.customers.models import AttributeJob
from rapport.customers.personal import PERSONAL_DATA
from rapport.customers.privacy.anonymisation import (
    attribute_named,
    identifying_names,
    is_identifying,
    removed_pseudonyms,
    stage_known,
)
from rapport.customers.privacy.hidden_rows import leave_disk
from rapport.customers.privacy.personal_columns import DECIDED
from rapport.customers.privacy.personal_values import PersonalTexts
from rapport.customers.privacy.persons import delete_staged, erase, export, is_erased, is_removed, purge
from rapport.customers.privacy.restored import consent_again, ids_of, remember_erased, remove_pii_again
from rapport.customers.privacy.scrubbing import kept_properties, property_names, shaped
from rapport.customers.privacy.tasks import look_at_attributes
from rapport.customers.products import product_attribute_expressions
from rapport.customers.queries import attribute_values, instants, last_two_dates
from rapport.customers.retyping import changeable
from rapport.customers.retyping import delete as delete_attribute
from rapport.customers.retyping import retype as retype_attribute
from rapport.customers.states import STORED_SOURCES, AttributeSource, ImportMode, ImportState
from rapport.customers.writes.attribute_requests import add_attribute, job, remove_pii, update_attributes, upsert
from rapport.customers.writes.attribute_times import drop_old as drop_old_times
from rapport.customers.writes.attribute_writes import CustomerValues, Fault, overwrite, spelling, spellings
from rapport.customers.writes.locks import writing, writing_if_free
from rapport.customers.writes.ordering import (
    Outcome,
    accept,
    carry_out,
    carry_out_if_free,
    register_handler,
    take_outcomes,
)
from rapport.customers.writes.writer import writer_of

__all__ = [
    "ACTIVITY",
    "AUTOMATIC",
    "COLUMN_TYPES",
    "CORE_EVENTS",
    "DECIDED",
    "NOBODY",
    "PERMISSION",
    "PERSONAL_DATA",
    "STORED_SOURCES",
    "AttributeInfo",
    "AttributeJob",
    "AttributeSource",
    "Consent",
    "ConsentSettings",
    "Consents",
    "CoreEvent",
    "CustomerValues",
    "Fault",
    "FileMapping",
    "ImportMode",
    "ImportResult",
    "ImportState",
    "KindChecks",
    "LoadCheck",
    "LoadCheckFailed",
    "Outcome",
    "PersonalTexts",
    "VolumeCheck",
    "accept",
    "add_activity",
    "add_attribute",
    "attribute_named",
    "attribute_values",
    "attributes",
    "attributes_read_once",
    "carry_out",
    "carry_out_if_free",
    "change_attribute",
    "change_event_type",
    "changeable",
    "check_consents",
    "check_loads",
    "consent_again",
    "consents",
    "conversion_checks",
    "convert_all",
    "copy_activity",
    "create_attribute",
    "declare",
    "declare_event_type",
    "delete_attribute",
    "delete_staged",
    "drop_old_times",
    "ensure_event_types",
    "equals",
    "erase",
    "event_type",
    "event_type_named",
    "event_types",
    "export",
    "find",
    "forbidding",
    "identifies_nobody",
    "identifying_names",
    "ids_of",
    "import_file",
    "import_of",
    "imports",
    "instants",
    "is_erased",
    "is_identifying",
    "is_removed",
    "job",
    "kept_properties",
    "last_two_dates",
    "leave_disk",
    "load_checks",
    "look_at_attributes",
    "mark_consent",
    "note_event_types",
    "overwrite",
    "product_attribute_expressions",
    "property_names",
    "purge",
    "read_mapping",
    "register_handler",
    "remember_erased",
    "remove_pii",
    "remove_pii_again",
    "removed_pseudonyms",
    "rendered",
    "retype_attribute",
    "says_nothing",
    "set_load_checks",
    "shaped",
    "spelling",
    "spellings",
    "stage_known",
    "take_outcomes",
    "update_attributes",
    "upsert",
    "with_blank_cells",
    "word_sql",
    "writer_of",
    "writing",
    "writing_if_free",
]
