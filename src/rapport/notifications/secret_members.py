"""Members of payloads that are secrets: the deliveries hold none of them, each is put in when it is posted."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from rapport.access.scope import Scope, scope_of
from rapport.stores import Stores

Reader = Callable[[Scope, Mapping[str, Any]], str]
# By event type: the member, and what reads its value.
_SECRET: dict[int, tuple[str, Reader]] = {}


def secret_member(event_type_id: int, member: str, reader: Reader) -> None:
    """Have a member of an event type's payloads, which is empty in them, filled when they are posted."""
    _SECRET[event_type_id] = (member, reader)


def with_secrets(stores: Stores, tenant_id: int, event_type_id: int, body: str) -> str:
    """A delivery's body as it is posted, the same at every attempt."""
    member, reader = _SECRET.get(event_type_id, ("", None))
    empty_member = f'"{member}":""'
    if reader is None or empty_member not in body:
        return body
    value = reader(scope_of(stores, tenant_id), orjson.loads(body))
    return body.replace(empty_member, f'"{member}":{orjson.dumps(value).decode()}', 1)
