"""What the OpenAPI document says beyond its routes: how to begin, the errors of each family of paths, names."""

from collections.abc import Iterator
from typing import Any

from rapport.api.http.responses import (
    ERRORS,
    MANAGED,
    PROBLEM,
    PROBLEMS,
    PROMOTION_ERRORS,
    PROMOTIONS,
    RECOMMEND,
    SPORTS,
    SPORTS_ERRORS,
    TOTAL,
    TOTAL_HEADER,
)
from rapport.conditions.language import json_schema
from rapport.errors import Conflict, TooLarge

Described = dict[str, Any]
FAMILIES = {"Management": PROBLEMS, "Wire": ERRORS, "Promotions": PROMOTION_ERRORS, "Sports": SPORTS_ERRORS}
# Whoever calls these shows no key: who it is stands in the path, in a token of its own, or does not matter.
KEYLESS = {
    "Events",
    "Apps",
    "Storage",
    "Unsubscribe",
    "Mail",
    "SMS",
    "Preference Center",
    "Preference page",
    "Embedded Messaging",
    "Web Inbox",
    "operations",
}
LOGIN = "Login"
KEY = {
    "type": "apiKey",
    "description": "A key created with `rapport key create`",
    "in": "header",
    "name": "X-API-KEY",
}
# Calls that apps and their servers make show the keys of an app instead.
BY_APP = "Apps"
APP_KEYS = {
    "type": "http",
    "scheme": "basic",
    "description": "The API key of an app, and its secret key or its server key, see POST /manage/v1/apps",
}
VERBS = ("get", "put", "post", "patch", "delete")

INTRODUCTION = """
The Optimove API on the wire, and Rapport's own management API.

**Begin** with a key: create one with `rapport key create`, or with `POST /manage/v1/keys` and an Admin key. Send it in
the header `X-API-KEY` with every call; there is no session. A first call: `GET /current/general/GetLastDataUpdate`.

**Two families of paths.** *The wire* is `/current/{category}/{Function}` and a few other paths that clients of the
reference API call. Paths, parameters and JSON members match in any case, `/current` may be left out, and unknown
members are ignored. *The management API* is `/manage/v1/...`. It needs an Admin key and refuses unknown members and
parameters. POST takes an `Idempotency-Key` header: if you repeat the same request with the same key, you get the first
response again; a different request with that key is refused.

**Errors** are a sentence that says what to correct. On the wire the sentence is the whole body, a JSON string; only 429
is an object, and errors of events are `{"status": "error", "message": "..."}`. The management API answers
`application/problem+json` with `type`, `title`, `status` and `detail`. Every response has an `X-Request-ID`, which is
also in the server's log.

**Limits.** A key may make 50 calls in 10 seconds, unless the server or the key has another limit. Further calls are
answered with 429 and `Retry-After`, in seconds. At most 20 calls of a tenant are carried out at a time, and 100 more
wait; further ones are answered with 503 and `Retry-After`. A body has at most 1 MiB; calls of the wire that take tens
of thousands of customers take 16 MiB, unless the server has another limit, transactional mail takes 26 MiB, the
sports inventory and calls of the management API that take long lists or texts of messages 4 MiB, and imports 1 GiB. A
body has at most 30,000 objects and lists and 200,000 commas, not counting the customers of a list for a target group;
a body of events 20,000 and 100,000. A larger body is answered with 413, and so is an object of more than 1,000
members in the management API. A query has at most 1,000 parameters.

**Pages.** Functions of the wire that declare `$top` and `$skip` skip the first `$skip` rows and return the next `$top`
rows. Lists of customers have at most 10,000 rows per page, unless the function says otherwise: read on until a page is
empty. If `$top` is larger than a page, the header `X-Page-Limit` gives the number of rows of a full page. Lists of the
management API take `limit` and `offset`; the header `X-Total-Count` gives the total number of entries.
""".strip()

# Descriptions of parameters that many routes have; a route may have its own.
PARAMETERS = {
    "tenantId": "The id of the promotion tenant",
    "promotionId": "The id of a promotion",
    "promotion_id": "The id of a promotion",
    "campaignId": "The CampaignID of a conditional campaign",
    "promocodeId": "The id of a promo code",
    "promocode_id": "The id of a promo code",
    "redemptionId": "The id of a redemption",
    "installId": "The ID of the installation, chosen by the app: a UUID, at most 100 characters",
    "slug": "The last part of the link",
    "bannerUid": "The id of a banner, see GET /v1/banners",
    "userId": "The CustomerID",
    "userIdentifier": "The CustomerID, or the ID of the installation while the app knows nobody",
    "after": "The newest updatedAt that the app has; left out at first",
    "tenantToken": "The tenant's public SDK token, see GET /manage/v1/event-intake",
    "tenantID": "The tenant's number, see GET /manage/v1/event-intake",
    "brandGroupID": "A brand group, see GET /manage/v1/brand-groups",
    "brand_group_id": "A brand group, see GET /manage/v1/brand-groups",
    "topic_id": "A topic, see GET /manage/v1/brand-groups/{brand_group_id}/topics",
    "token": "The token of the address in the message",
    "CustomerID": "The CustomerID, in any case",
    "configName": "Any name, such as mobile.1.0.0.json",
    "size": "Width and height, such as 364x180, or the width only, such as 640x",
    "account": "The tenant's number",
    "picture": "The name of the picture",
    "messageId": "The ID of the message",
    "env": "Any name: every environment has the same configuration",
    "limit": "The maximum number of entries",
    "offset": "The number of entries to skip",
    "status": "Only those with this status",
    "state": "Only those in this state",
    "outcome": "Only those with this outcome",
    "event": "Only this event, by its name",
    "origin": "Only events that came this way",
    "since": "Only entries from this instant on",
    "until": "Only entries before this instant",
    "archived": "List the archived ones instead of those in use",
    "count": "The number of days to list",
    "data_date": "Data date, YYYY-MM-DD",
    "execution_date": "Only campaigns of this tenant day, YYYY-MM-DD",
    "name": "The name of the attribute (RealFieldName)",
    "customer_id": "A CustomerID",
    "channel_id": "A channel, see GET /manage/v1/channels",
    "brand_id": "A brand, see GET /manage/v1/brands; BrandID on the wire",
    "address_id": "An address of the brand, by its role and ID",
    "role": "from for a sender address, reply_to for a reply address",
    "selector": "The selector of a DKIM key of the brand",
    "template_id": "A template of the channel; TemplateID on the wire",
    "folder_id": "A folder for the templates of a brand; FolderID on the wire",
    "version": "A version of a template",
    "campaign_id": "A campaign: one run of a series, or a day of a triggered one; CampaignID on the wire",
    "series_id": "A series, see GET /manage/v1/series",
    "journey_id": "A journey, see GET /manage/v1/journeys",
    "member_id": "A way of a customer through the journey, see GET /manage/v1/journeys/{journey_id}/members",
    "trigger_id": "A triggered campaign, see GET /manage/v1/triggers",
    "group_id": "A target group; TargetGroupID on the wire",
    "count_id": "The ID of a count, from the response that started it",
    "action_id": "An action; ActionID on the wire",
    "listener_id": "A listener, see GET /manage/v1/listeners",
    "delivery_id": "A delivery of the listener",
    "event_type_id": "An event type, see GET /manage/v1/event-types",
    "import_id": "The ID of an import, from the response to the upload",
    "key_id": "A key's number, not the key itself, see GET /manage/v1/keys",
    "user_id": "A user, see GET /manage/v1/users",
}


def completed(document: Described) -> Described:
    """The document with all that this module knows, in place. 422 is what FastAPI assumes, and never answered."""
    _refer_to_conditions(document)
    components = document["components"]
    components["schemas"] |= {"Problem": PROBLEM, **json_schema.components()}
    components["responses"] = {
        f"{family}{status}": shown for family, errors in FAMILIES.items() for status, shown in errors.items()
    }
    components["securitySchemes"] = {"APIKeyHeader": KEY, "AppKeys": APP_KEYS}
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    for schema in components["schemas"].values():
        for part in schema.values():
            _drop_titles(part)
    for path, operation in _operations(document):
        _set_errors(operation, _family(path))
        if path.startswith(MANAGED) and _is_paged_list(operation):
            operation["responses"]["200"]["headers"] = {TOTAL: TOTAL_HEADER}
        for parameter in operation.get("parameters", []):
            parameter["description"] = parameter.get("description") or PARAMETERS.get(parameter["name"], "")
    return document


def _family(path: str) -> str:
    if path.startswith(PROMOTIONS):
        return "Promotions"
    if path.startswith((SPORTS, RECOMMEND)):
        return "Sports"
    return "Management" if path.startswith(MANAGED) else "Wire"


def _refer_to_conditions(part: Any) -> None:
    """Put the reference to its schema in the place of each condition."""
    if isinstance(part, dict):
        if json_schema.MARK in part:
            del part["type"]
            part["$ref"] = json_schema.REFERENCE.format(part.pop(json_schema.MARK))
        for inner in part.values():
            _refer_to_conditions(inner)
    elif isinstance(part, list):
        for inner in part:
            _refer_to_conditions(inner)


def _drop_titles(part: Any) -> None:
    """Take the titles off what is inside a schema: generators of clients make classes of them that hide others."""
    if isinstance(part, dict):
        if isinstance(part.get("title"), str):
            del part["title"]
        for inner in part.values():
            _drop_titles(inner)
    elif isinstance(part, list):
        for inner in part:
            _drop_titles(inner)


def _is_paged_list(operation: Described) -> bool:
    """Whether a call answers a page of a list, and so how long the whole list is."""
    schema = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
    is_paged = any(parameter["name"] == "offset" for parameter in operation.get("parameters", []))
    return is_paged and schema.get("type") == "array"


def _operations(document: Described) -> Iterator[tuple[str, Described]]:
    for path, item in document["paths"].items():
        yield from ((path, item[verb]) for verb in VERBS if verb in item)


def _set_errors(operation: Described, family: str) -> None:
    """Name the errors that an operation can answer. One that its route tells of stays, and gets its form."""
    own, shared = operation["responses"], FAMILIES[family]
    own.pop("422", None)
    form = own.get("400", {}).get("content")
    formed = {status for status, response in own.items() if status >= "400" and "content" in response}
    for status, response in own.items():
        if status >= "400":
            shared_response = shared.get(int(status), {})
            own[status] = {**shared_response, **response}
            if status not in formed:
                own[status]["content"] = shared_response["content"] if status == "429" or not form else form
    if not _is_keyless(operation):
        if operation["operationId"] != LOGIN:
            operation["security"] = [{"APIKeyHeader": []}]
        refs = {str(status): f"#/components/responses/{family}{status}" for status in _possible(operation, family)}
        operation["responses"] = own | {status: {"$ref": ref} for status, ref in refs.items() if status not in formed}
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _is_keyless(operation: Described) -> bool:
    return not KEYLESS.isdisjoint(operation["tags"])


def _possible(operation: Described, family: str) -> Iterator[int]:
    """The errors of a call with a key: only a body can be too large, and a read of the wire contradicts nothing."""
    for status in map(int, FAMILIES[family]):
        if "requestBody" in operation or (status != TooLarge.status and (status, family) != (Conflict.status, "Wire")):
            yield status
