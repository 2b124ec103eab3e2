"""Members of payloads that are secrets: the deliveries hold none of them, each is put in when it is posted."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from rapport.access.scope import Scope, scope_of
from rapport.stores import Stores


class SecretMember(NamedTuple):
    """A member of an event type's payloads that is empty in what is stored, and what reads its value."""

    name: str
    read: Callable[[Scope, Mapping[str, Any]], str]


SecretMembers = Mapping[int, SecretMember]  # by event type


def with_secrets(stores: Stores, secret_members: SecretMembers, tenant_id: int, event_type_id: int, body: str) -> str:
    """A delivery's body as it is posted, the same at every attempt."""
    member = secret_members.get(event_type_id)
    if member is None or (empty_member := f'"{member.name}":""') not in body:
        return body
    value = member.read(scope_of(stores, tenant_id), orjson.loads(body))
    return body.replace(empty_member, f'"{member.name}":{orjson.dumps(value).decode()}', 1)
