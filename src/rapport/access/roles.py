"""Which access type may call which function of the wire."""

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
