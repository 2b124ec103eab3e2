"""What other packages may ask of messaging."""

from rapport.messaging.erasure import forget
from rapport.messaging.kept import allow_again, keep_addresses_again, prefer_again, suppress_again
from rapport.messaging.letters import Letters
from rapport.messaging.models import EVERY_CHANNEL, ChannelPreference, Suppression, Template
from rapport.messaging.preferences import digest as kept_off_digest
from rapport.messaging.preferences import preferences, set_preference, suppressions, unreachable
from rapport.messaging.registration import (
    Registered,
    apps_of_templates,
    register_apps,
    register_templates,
    remove_apps,
    remove_templates,
)
from rapport.messaging.rendering import Rendered, attributes_used, render
from rapport.messaging.soft_bounces import Reported, any_counted, arrived, soft_bounced
from rapport.messaging.suppressed_addresses import MARK, address_secret, keep_again
from rapport.messaging.suppressed_addresses import marks_of as address_marks
from rapport.messaging.suppressed_addresses import of_channel as suppressed_marks
from rapport.messaging.suppressions import (
    REASONS,
    Origin,
    allow,
    list_suppressions,
    read_token,
    suppress,
    suppress_many,
    unsubscribe,
    unsubscribe_headers,
    unsubscribe_links,
)
from rapport.messaging.templates import create_template, delete_template, save_template, template, templates

__all__ = [
    "EVERY_CHANNEL",
    "MARK",
    "REASONS",
    "ChannelPreference",
    "Letters",
    "Origin",
    "Registered",
    "Rendered",
    "Reported",
    "Suppression",
    "Template",
    "address_marks",
    "address_secret",
    "allow",
    "allow_again",
    "any_counted",
    "apps_of_templates",
    "arrived",
    "attributes_used",
    "create_template",
    "delete_template",
    "forget",
    "keep_addresses_again",
    "keep_again",
    "kept_off_digest",
    "list_suppressions",
    "prefer_again",
    "preferences",
    "read_token",
    "register_apps",
    "register_templates",
    "remove_apps",
    "remove_templates",
    "render",
    "save_template",
    "set_preference",
    "soft_bounced",
    "suppress",
    "suppress_again",
    "suppress_many",
    "suppressed_marks",
    "suppressions",
    "template",
    "templates",
    "unreachable",
    "unsubscribe",
    "unsubscribe_headers",
    "unsubscribe_links",
]
