"""Which access type may call which function of the wire, and what the rights of a key leave of that."""

from collections.abc import Collection
from enum import StrEnum

INTEGRATIONS_FUNCTIONS = frozenset(
    name.lower()
    for name in [
        "GetLastDataUpdate",
        "RegisterEventListener",
        "UnregisterEventListener",
        "GetRegisteredEventListeners",
        "GetCampaignDetails",
        "GetExecutedCampaignChannelDetails",
        "GetExecutedCampaignsByChannel",
        "GetCustomerOneTimeActionsByCampaign",
        "GetCustomerAttributeChangers",
        "GetCustomerSendDetailsByChannel",
        "GetCampaignInteractionCustomers",
        "GetCustomerChannelInteractions",
        "GetCustomerExecutionDetailsByCampaign",
        "AddChannelTemplates",
        "GetChannelTemplates",
        "GetChannelTemplateDetails",
        "DeleteChannelTemplates",
        "AddChannelApps",
        "DeleteChannelApps",
        "UpdateCampaignMetrics",
        "UpdateCampaignInteractions",
        "SetCustomerChannelPreference",
        "GetApiKeyInfo",
        "GetEngagementFile",
    ]
)


def may_call(access_type: str, function: str) -> bool:
    """Admin and Transactional keys call everything; Integrations keys the third-party list only."""
    return access_type != "Integrations" or function.lower() in INTEGRATIONS_FUNCTIONS


class Rights(StrEnum):
    """What a key may do of what its access type covers."""

    FULL = "full"
    READ = "read"  # what changes nothing, and no secret
    DATA_IN = "data-in"  # imports and writes of attributes only


DATA_IN_FUNCTIONS = frozenset({"upsertcustomer", "updatecustomerattributes", "addcustomerattribute"})
DATA_IN_SECTIONS = frozenset({"imports"})
# What everybody may ask: it tells of the caller only.
OWN = "getapikeyinfo"
# What a key of some sections of the management API may be for. Keys and users are not among them: who makes those
# could give itself every other.
SECTIONS = (
    "actions",
    "apps",
    "attributes",
    "audit-entries",
    "brand-groups",
    "brands",
    "campaigns",
    "channels",
    "condition-attributes",
    "consent-log",
    "cycles",
    "eligibility",
    "engagement-bucket",
    "event-intake",
    "event-log",
    "event-types",
    "exclusions",
    "exports",
    "forecasts",
    "gateway",
    "imports",
    "journeys",
    "lifecycle-stages",
    "listeners",
    "load-checks",
    "model-fits",
    "persons",
    "pictures",
    "placements",
    "programme",
    "promocodes",
    "promotions",
    "series",
    "snippets",
    "sports",
    "summary",
    "suppressions",
    "target-group-counts",
    "target-groups",
    "templates",
    "tenants",
    "topics",
    "transactional",
    "triggers",
    "unsubscribe-links",
    "value-segments",
)


def rights_cover(rights: Rights, sections: Collection[str], function: str, *, reads: bool) -> bool:
    """Whether a key may call a function of the wire; reads: it changes nothing.

    A key of sections is for the management API.
    """
    if function.lower() == OWN:
        return True
    if sections:
        return False
    if rights is Rights.DATA_IN:
        return function.lower() in DATA_IN_FUNCTIONS
    return reads or rights is Rights.FULL


def may_manage(rights: Rights, sections: Collection[str], section: str, *, reads: bool) -> bool:
    """Whether an Admin key may call the management API in a section; reads: the call changes nothing."""
    if sections and section not in sections:
        return False
    if rights is Rights.DATA_IN:
        return section in DATA_IN_SECTIONS
    return reads or rights is Rights.FULL
