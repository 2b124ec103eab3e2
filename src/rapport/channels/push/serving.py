"""Which channel of a tenant sends for an app."""

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.kinds.push import PushKind
from rapport.channels.models import Channel
from rapport.channels.push.settings import PushSettings
from rapport.errors import NotFound


def channel_of_app(scope: Scope, app_id: int) -> Channel:
    """The channel for this app, or else the first one for all apps. Raises NotFound when no channel serves it."""
    serving = [channel for channel in channels.channels(scope) if channel.kind == PushKind.name]
    by_app = {accounts(channel).app_id: channel for channel in reversed(serving)}
    channel = by_app.get(app_id) or by_app.get(None)
    if channel is None:
        raise NotFound(f"No push channel serves app {app_id}: create one at /manage/v1/channels.")
    return channel


def accounts(channel: Channel) -> PushSettings:
    """The settings of a push channel."""
    return PushSettings.model_validate(channel.settings)
