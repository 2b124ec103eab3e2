"""What other packages may ask of messaging."""

from rapport.messaging.contactability import rules
from rapport.messaging.contactability.address_files import FileSuppressed, suppress_file
from rapport.messaging.contactability.finding import customers_at
from rapport.messaging.contactability.kept import allow_again, keep_addresses_again, prefer_again, suppress_again
from rapport.messaging.contactability.kept_off import (
    FAULTS,
    SAME_ADDRESS,
    KeptOff,
    create_suppressed,
    fault_of,
    faults,
    load_suppressed,
)
from rapport.messaging.contactability.kept_off import stand as kept_off_stand
from rapport.messaging.contactability.page_words import ENGLISH, direction, invalid_in
from rapport.messaging.contactability.preferences import preferences, set_preference, suppressions, unreachable
from rapport.messaging.contactability.reaching import (
    Reading,
    fault_sql,
    flagged,
    profile_alias,
    profile_columns,
    unkept,
)
from rapport.messaging.contactability.soft_bounces import DeliveryReport, any_counted, arrived, soft_bounced
from rapport.messaging.contactability.suppressed_addresses import keep_again
from rapport.messaging.contactability.suppressed_addresses import marks_of as address_marks
from rapport.messaging.contactability.suppressed_addresses import of_address as suppressions_of_address
from rapport.messaging.contactability.suppressions import (
    REASONS,
    Origin,
    allow,
    allow_address,
    link_keys,
    list_suppressions,
    read_token,
    require_no_address,
    rotate_link_keys,
    suppress,
    suppress_addresses,
    suppress_many,
    suppressed_between,
    unsubscribe_links,
)
from rapport.messaging.contactability.survey import nobody_shares, profiles_stand
from rapport.messaging.contactability.unreached import unreached
from rapport.messaging.contactability.unsubscribe_pages import words_for, words_in
from rapport.messaging.message_writer import MessageWriter
from rapport.messaging.models import EVERY_CHANNEL, ChannelPreference, Suppression, Template
from rapport.messaging.personal import PERSONAL_DATA
from rapport.messaging.registration import (
    Registered,
    apps_of_templates,
    register_apps,
    register_templates,
    remove_apps,
    remove_templates,
)
from rapport.messaging.rendering import attributes_used, render
from rapport.messaging.templates import (
    MAX_CONTENT,
    create_template,
    delete_template,
    listed_templates,
    save_template,
    template,
    templates,
)

__all__ = [
    "ENGLISH",
    "EVERY_CHANNEL",
    "FAULTS",
    "MAX_CONTENT",
    "PERSONAL_DATA",
    "REASONS",
    "SAME_ADDRESS",
    "ChannelPreference",
    "DeliveryReport",
    "FileSuppressed",
    "KeptOff",
    "MessageWriter",
    "Origin",
    "Reading",
    "Registered",
    "Suppression",
    "Template",
    "address_marks",
    "allow",
    "allow_address",
    "allow_again",
    "any_counted",
    "apps_of_templates",
    "arrived",
    "attributes_used",
    "create_suppressed",
    "create_template",
    "customers_at",
    "delete_template",
    "direction",
    "fault_of",
    "fault_sql",
    "faults",
    "flagged",
    "invalid_in",
    "keep_addresses_again",
    "keep_again",
    "kept_off_stand",
    "link_keys",
    "list_suppressions",
    "listed_templates",
    "load_suppressed",
    "nobody_shares",
    "prefer_again",
    "preferences",
    "profile_alias",
    "profile_columns",
    "profiles_stand",
    "read_token",
    "register_apps",
    "register_templates",
    "remove_apps",
    "remove_templates",
    "render",
    "require_no_address",
    "rotate_link_keys",
    "rules",
    "save_template",
    "set_preference",
    "soft_bounced",
    "suppress",
    "suppress_addresses",
    "suppress_again",
    "suppress_file",
    "suppress_many",
    "suppressed_between",
    "suppressions",
    "suppressions_of_address",
    "template",
    "templates",
    "unkept",
    "unreachable",
    "unreached",
    "unsubscribe_links",
    "words_for",
    "words_in",
]
