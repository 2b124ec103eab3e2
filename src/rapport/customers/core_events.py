"""Events that the SDKs send of their own accord, and standard events of servers: declared for every tenant.

The numbers are those that the SDKs know; where theirs is not known it is one of ours below the tenants' own.
"""

from dataclasses import dataclass, field

STRING, NUMBER, BOOLEAN = "String", "Number", "Boolean"


@dataclass(frozen=True)
class CoreEvent:
    """An event that every tenant has. parameters maps a name to String, Number or Boolean; mandatory are the names of
    those without which the event says nothing.
    """

    id: int
    description: str
    parameters: dict[str, str] = field(default_factory=dict)
    from_apps: bool = True
    mandatory: tuple[str, ...] = ()


def _texts(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, STRING)


# What apps add to any event by themselves.
AUTOMATIC = {**_texts("event_platform", "event_device_type", "event_os"), "event_native_mobile": BOOLEAN}
DETAILS = _texts(
    "ootb_email",
    "ootb_mobile_number",
    "ootb_status",
    "ootb_registration_source",
    "ootb_date_of_birth",
    "ootb_allow_email",
    "ootb_allow_sms",
    "ootb_allow_push",
    "ootb_allow_whatsapp",
    "ootb_is_email_verified",
    "ootb_is_mobile_verified",
    "ootb_is_blocked",
    "ootb_is_test",
    "ootb_gender",
    "ootb_country",
    "ootb_city",
    "ootb_address",
    "ootb_first_name",
    "ootb_last_name",
    "ootb_language",
    "ootb_currency",
    "ootb_brand",
    "ootb_alias",
    "ootb_referral_type",
    "ootb_affiliate_id",
    "ootb_platform",
    "ootb_promo_code",
    "ootb_license",
)
SDK_DATA = _texts(
    "sdk_platform",
    "sdk_version",
    "config_file_url",
    "app_ns",
    "location",
    "location_latitude",
    "location_longitude",
    "ip",
    "language",
    "campaign_name",
    "campaign_keyword",
    "campaign_source",
    "campaign_medium",
    "campaign_content",
    "campaign_id",
)
POPUP_DISPLAYED, POPUP_CLICKED = "web_popup_displayed", "web_popup_clicked"
POPUP = {
    **dict.fromkeys(("campaign_detail_id", "template_id", "action_channel_id"), NUMBER),
    **_texts("send_id"),
}
CORE_EVENTS = {
    "set_user_id_event": CoreEvent(
        1001,
        "A visitor turned out to be a customer",
        _texts("originalVisitorId", "userId", "updatedVisitorId"),
        mandatory=("originalVisitorId", "userId"),
    ),
    "set_email_event": CoreEvent(1002, "The person gave an e-mail address", _texts("email"), mandatory=("email",)),
    "page_category_event": CoreEvent(1003, "A page of a category was seen", _texts("category")),
    "stitch_event": CoreEvent(
        1004,
        "Two visitors are the same person",
        _texts("sourcePublicCustomerId", "sourceVisitorId", "targetVsitorId", "targetVisitorId"),
    ),
    "user_agent_header_event": CoreEvent(
        1005, "The browser's user agent", _texts("user_agent_header1", "user_agent_header2")
    ),
    "set_page_visit": CoreEvent(
        1006,
        "A page or screen was seen",
        _texts("customURL", "pageTitle", "category"),
        mandatory=("pageTitle",),
    ),
    "optimove_sdk_metadata": CoreEvent(1007, "The SDK and where it runs", SDK_DATA),
    POPUP_DISPLAYED: CoreEvent(1008, "A web popup was shown", POPUP),
    POPUP_CLICKED: CoreEvent(1016, "A link of a web popup was followed", POPUP),
    "set_advertising_id": CoreEvent(
        1010, "The device's advertising id", _texts("advertising_id", "device_id", "app_ns")
    ),
    "notification_delivered": CoreEvent(1012, "A push notification reached the device"),
    "notification_opened": CoreEvent(1013, "A push notification was opened"),
    "app_open": CoreEvent(1014, "The app was opened", _texts("app_ns", "device_id", "user_id", "visitor_id")),
    "ticket_opened": CoreEvent(1023, "A support ticket was opened"),
    "ticket_resolved": CoreEvent(1024, "A support ticket was resolved"),
    "ootb_user_details_update": CoreEvent(1501, "Details of a customer changed", DETAILS, from_apps=False),
    "ootb_login": CoreEvent(1502, "A customer logged in", from_apps=False),
    "core_registration": CoreEvent(1503, "A customer registered", from_apps=False),
    "core_login": CoreEvent(1504, "A customer logged in", from_apps=False),
}
