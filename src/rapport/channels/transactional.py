"""Channels of transactional brands: they carry what applications send, and no campaign."""

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.brands import brands
from rapport.channels.brands.models import BrandKind
from rapport.channels.models import Channel


def transactional_channels(scope: Scope) -> list[Channel]:
    """The channels of the tenant's transactional brands, by brand and channel."""
    transactional = {brand.id for brand in brands.brands(scope) if brand.kind is BrandKind.TRANSACTIONAL}
    if not transactional:
        return []
    of_brands = [channel for channel in channels.channels(scope) if channel.settings.get("brand_id") in transactional]
    return sorted(of_brands, key=lambda channel: (channel.settings["brand_id"], channel.id))


def is_transactional(scope: Scope, channel_id: int) -> bool:
    """Whether a channel is one of a transactional brand."""
    return any(channel.id == channel_id for channel in transactional_channels(scope))
