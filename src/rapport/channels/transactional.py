"""Channels of transactional brands: they carry what applications send, and no campaign."""

from sqlalchemy import Integer, literal_column, select

from rapport.access.scope import Scope
from rapport.channels.brands.models import Brand, BrandKind
from rapport.channels.models import Channel

BRAND_ID = literal_column("(channels.settings ->> 'brand_id')", Integer).cast(Integer)


def transactional_channels(scope: Scope) -> list[Channel]:
    """The channels of the tenant's transactional brands, by brand and channel."""
    of_brand = (Brand.tenant_id == Channel.tenant_id) & (Brand.id == BRAND_ID)
    query = select(Channel).join(Brand, of_brand)
    mine = (Channel.tenant_id == scope.tenant_id, Brand.kind == BrandKind.TRANSACTIONAL)
    with scope.reads() as session:
        return list(session.scalars(query.where(*mine).order_by(Brand.id, Channel.id)))


def is_transactional(scope: Scope, channel_id: int) -> bool:
    """Whether a channel is one of a transactional brand."""
    return any(channel.id == channel_id for channel in transactional_channels(scope))
