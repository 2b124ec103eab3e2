"""The links to the page of preferences: signed, for one customer, or for all customers of one address who asked."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from itsdangerous import BadSignature, URLSafeSerializer

from rapport.access.models import TenantSecret
from rapport.access.scope import Scope, scope_of
from rapport.access.secrets import versions
from rapport.errors import NotFound
from rapport.messaging.contactability.suppressions import TOKEN, UNSUBSCRIBE
from rapport.messaging.models import BrandGroup
from rapport.messaging.topics import brand_groups, topics
from rapport.stores import Stores

# Links that were sent on request; those in messages work as long as links to unsubscribe do.
REQUESTED_WORK = timedelta(hours=24)
NO_END = 0
INVALID = "This address of preferences is not valid."


@dataclass(frozen=True)
class PreferenceLink:
    """Whose preferences a link opens. customer_ids: all of one address, the first of whom is shown."""

    group_id: str
    customer_ids: tuple[str, ...]


def _signer(secret: str) -> URLSafeSerializer:
    return URLSafeSerializer(secret, salt="preferences", signer_kwargs={"digest_method": hashlib.sha256})


def link_to(scope: Scope, link: PreferenceLink, ends_at: datetime | None = None) -> str:
    """The address of the page for a link, which works until an instant (None: as long as its key does)."""
    return _address(scope, versions(scope, UNSUBSCRIBE)[0], link, ends_at)


def _address(scope: Scope, newest: TenantSecret, link: PreferenceLink, ends_at: datetime | None = None) -> str:
    until = NO_END if ends_at is None else int(ends_at.timestamp())
    signed = _signer(newest.value).dumps([link.group_id, list(link.customer_ids), until])
    base = scope.stores.settings.links_url
    return f"{base}/preferences/{scope.tenant_id}.v{newest.version}.{_text(signed)}"


def _text(signed: str | bytes) -> str:
    return signed if isinstance(signed, str) else signed.decode()


def preference_links(scope: Scope, channel_id: int, topic_id: str = "") -> Callable[[str], str] | None:
    """A function that gives a customer's link to its preferences, for messages of a channel (and of a topic).

    The brand group is that of the topic, else the first by name that has the channel; None when there is none.
    """
    group = _group_of(scope, channel_id, topic_id)
    if group is None:
        return None
    group_id, newest = group.id, versions(scope, UNSUBSCRIBE)[0]
    return lambda customer_id: _address(scope, newest, PreferenceLink(group_id, (customer_id,)))


def _group_of(scope: Scope, channel_id: int, topic_id: str) -> BrandGroup | None:
    groups = brand_groups.brand_groups(scope)
    if topic_id and groups:
        wanted_id = topics.topic(scope, topic_id).brand_group_id
        return next((group for group in groups if group.id == wanted_id), None)
    return next((group for group in groups if any(channel_id in ids for ids in group.channels.values())), None)


def read_link(stores: Stores, token: str) -> tuple[Scope, PreferenceLink]:
    """The tenant and the link of an address. Raises NotFound for one that Rapport did not make, or that has ended."""
    try:
        if (parts := TOKEN.fullmatch(token)) is None or parts["version"] is None:
            raise ValueError
        scope = scope_of(stores, int(parts["tenant"]), actor="preference page")
        good = {secret.version: secret.value for secret in versions(scope, UNSUBSCRIBE)}
        group_id, customer_ids, until = _signer(good[int(parts["version"])]).loads(parts["signed"])
        if until != NO_END and until < scope.clock.now().timestamp():
            raise ValueError
        return scope, PreferenceLink(group_id, _ids(customer_ids))
    except (ValueError, KeyError, BadSignature, TypeError, NotFound) as error:
        raise NotFound(INVALID) from error


def _ids(customer_ids: Sequence[str]) -> tuple[str, ...]:
    if not customer_ids:
        raise ValueError
    return tuple(customer_ids)
