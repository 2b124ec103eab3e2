"""Opening a channel: for sending, and to try it out.

A try gives up soon, and a tenant has few at once, so that its mail server holds up nobody else.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rapport.access.scope import Scope
from rapport.channels.announcing import AnnouncedTransport
from rapport.channels.kinds.in_app import InAppKind
from rapport.channels.kinds.push import PushKind
from rapport.channels.messages import Transport
from rapport.channels.models import Channel
from rapport.channels.service import channels
from rapport.errors import TooManyRequests
from rapport.stores import holds

# Whoever tries out a channel waits for the answer, and each holds one of the threads that answer for all tenants.
LONGEST_SECONDS = 10.0
AT_ONCE = 2
_tries: Counter[int] = Counter()
_LOCK = threading.Lock()


@contextmanager
def turn(scope: Scope) -> Iterator[None]:
    """One of the few tries of outside servers that a tenant has at once. Raises TooManyRequests when it has them."""
    with _LOCK:
        if _tries[scope.tenant_id] >= AT_ONCE:
            raise TooManyRequests(
                f"{AT_ONCE} tests of channels are under way: wait until one has ended.", int(LONGEST_SECONDS)
            )
        _tries[scope.tenant_id] += 1
    try:
        yield
    finally:
        with _LOCK:
            _tries[scope.tenant_id] -= 1


@contextmanager
def trying(scope: Scope, channel: Channel) -> Iterator[Transport]:
    """A channel open for one try. Raises TooManyRequests while the tenant tries out others, else as transport does."""
    with turn(scope):
        opened = transport(scope, channel, LONGEST_SECONDS)
        try:
            yield opened
        finally:
            opened.close()


def transport(scope: Scope, channel: Channel, longest: float = float("inf"), *, for_many: bool = False) -> Transport:
    """Open a channel for sending, to wait for its server at most so many seconds at a time; the caller closes it.

    for_many: for hundreds of messages at a time and more.

    Raises Invalid for settings by which nothing can be sent, such as a RAPPORT_SMTP_URL that is none or a sender that
    is not allowed (any more), and for a kind that there is not; Away while what goes out is held.
    """
    kind = channel.behaviour
    if not kind.is_pulled:
        holds.require_not_held(scope.stores)
    open_kind = kind.open_for_many if for_many else kind.open
    opened = open_kind(scope, channel.settings, longest)
    push = announcing_channel(scope, channel)
    if push is None:
        return opened
    return AnnouncedTransport(scope, opened, lambda: push.behaviour.open(scope, push.settings, longest))


def announcing_channel(scope: Scope, channel: Channel) -> Channel | None:
    """The push channel that announces messages of a channel: the first one of its app. None for other kinds."""
    if not isinstance(channel.behaviour, InAppKind):
        return None
    app_id = channel.settings.get("app_id")
    return next(
        (
            other
            for other in channels(scope)
            if isinstance(other.behaviour, PushKind)
            and (None in (app_id, other.settings.get("app_id")) or other.settings["app_id"] == app_id)
        ),
        None,
    )


def made_of(scope: Scope, channel: Channel) -> tuple[Any, ...]:
    """What a channel's transport is opened from: another one is needed when it has changed."""
    server = scope.stores.settings
    push = announcing_channel(scope, channel)
    announced = (push.id, push.settings) if push else ()
    own = channel.behaviour.made_of(scope, channel.settings)
    return (channel.settings, server.smtp_url, server.mail_from, *own, *announced)
