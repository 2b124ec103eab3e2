"""How large a body may be, by the path that it is sent to."""

import re
import sys

KIB, MIB = 1024, 1024 * 1024
# What a call takes that names one thing, or some: far more than any needs.
USUAL = MIB
# The reference takes files of up to 1 GB.
UPLOADS = {
    "/manage/v1/imports": 1024 * MIB,
    "/manage/v1/suppressions/file": 64 * MIB,
    "/manage/v1/exclusions/file": 64 * MIB,
}
# 10 MB of files as base64, with 50,000 bytes for each of 200 recipients, or with a text and a page.
TRANSACTIONAL_MAIL = {
    "/current/transactionalmail/SendTransactionalMail": 26 * MIB,
    "/current/transactionalmail/SendFinalizedTransactionalMail": 20 * MIB,
}
# 500 records, each with names in several languages and members of the feed's own.
SPORTS_RECORDS = "/sports-inventory/v1/records"
# What anybody may send without a key.
KEYLESS = (
    ("/unsubscribe/", KIB),
    ("/current/general/login", 4 * KIB),
    ("/report/log", 64 * KIB),
    ("/mail-events/", 4 * MIB),
    ("/preferences/", 256 * KIB),
    ("/preference-link/", 4 * KIB),
    ("/api/v1/preferences", 128 * KIB),
    ("/api/v1/messages", 512 * KIB),
    ("/api/v2/embedded-messages/", 512 * KIB),
    ("/api/v2/events/", 512 * KIB),
    ("/sms/", MIB),
)
# Events, and calls of apps, bound themselves once their sender is known, also when they are unpacked.
EVENTS = re.compile(
    r"/v1/(events|app-installs/|optistream/|realtime/|metrics/|banners/|users/|templates/)|(/v2)?/notifications|/v2/in-app"
    r"|/api/saveEvent|/reportEvent"
)
# Calls that name tens of thousands of customers, or hold their values: as much as the server takes of anything.
BULK = frozenset(
    {
        "/api/v2/target-group/customer-list",
        "/current/customers/UpdateCustomerAttributes",
        "/current/customers/RemoveCustomerPII",
        "/current/integrations/UpdateCampaignInteractions",
        "/current/integrations/UpdateCustomerPromotionStatus",
        "/current/integrations/SetCustomerChannelPreference",
    }
)
# Conditions with lists of values, lists of addresses, texts and pictures of messages: more than these may hold.
MANAGED_MOST = 4 * MIB
MANAGED_BULK = re.compile(
    r"/manage/v1/(target-group|triggers|suppressions|exclusions|pictures|channels/[0-9]+/templates|transactional/messages)"
)
# Thousands of customers with the values of their sessions.
VALIDATION = re.compile(
    r"/v1/(promotions/([^/]+/validateCustomers|validatePromoCode|publisher/campaigns/[^/]+/(customers|rewards))"
    r"|promocodes/[^/]+/validateCustomers)",
    re.IGNORECASE,
)
# Files of a million codes.
CODES = re.compile(r"/manage/v1/promocodes/[^/]+/file", re.IGNORECASE)
CODES_MOST = 64 * MIB


def most_bytes(path: str, most: int) -> int:
    """The largest body that a path takes; most is what the server takes where much makes sense."""
    if own_size := UPLOADS.get(path) or TRANSACTIONAL_MAIL.get(path):
        return own_size
    small = next((size for beginning, size in KEYLESS if path.startswith(beginning)), None)
    if small is not None:
        return small
    if CODES.fullmatch(path):
        return CODES_MOST
    if EVENTS.match(path):
        return sys.maxsize
    if path in BULK or VALIDATION.fullmatch(path):
        return most
    return min(MANAGED_MOST if path == SPORTS_RECORDS or MANAGED_BULK.match(path) else USUAL, most)
