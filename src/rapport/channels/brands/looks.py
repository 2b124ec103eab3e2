"""How a brand looks in the messages and on the pages that people see of it."""

from dataclasses import dataclass

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.channels.brands import brands
from rapport.channels.brands.models import Brand, BrandKind
from rapport.channels.brands.settings import BrandSettings
from rapport.channels.models import Channel


@dataclass(frozen=True)
class Look:
    """The name and address of a brand, its logo and website (empty: none), and its colours as #rrggbb."""

    name: str
    postal_address: str
    logo_url: str
    website_url: str
    color: str
    text_color: str


def look_of(scope: Scope, channel: Channel | None) -> Look:
    """The look of a channel's brand; of a channel without one, or of none, that of the first for marketing."""
    brand = brands.brand_of(scope, channel.settings) if channel is not None else None
    brand = brand or _first(scope)
    usual = BrandSettings.model_fields
    settings = brand.settings if brand else {}
    return Look(
        name=brand.name if brand else "",
        **{name: settings.get(name) or usual[name].default for name in LOOK_SETTINGS},
    )


# Of a message or page that shows nothing of it.
NO_LOOK = Look("", "", "", "", "", "")
LOOK_SETTINGS = ("postal_address", "logo_url", "website_url", "color", "text_color")


def _first(scope: Scope) -> Brand | None:
    mine = select(Brand).where(Brand.tenant_id == scope.tenant_id, Brand.kind == BrandKind.MARKETING)
    with scope.reads() as session:
        return session.scalars(mine.order_by(Brand.id).limit(1)).first()
