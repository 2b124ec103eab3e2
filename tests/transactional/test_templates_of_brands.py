"""Templates of transactional brands share their numbers, and no campaign uses the channels of such brands."""

import pytest
from transactional_world import BRAND, CHANNEL, RECEIPT

from rapport.access.scope import Scope
from rapport.campaigns import definitions
from rapport.campaigns.schemas import ActionBody, Group, GroupChannel
from rapport.channels import service as channels
from rapport.channels.brands import brands
from rapport.channels.brands.models import BrandKind
from rapport.errors import Conflict, Invalid
from rapport.messaging import templates


def test_transactional_templates_share_their_numbers(shop: Scope) -> None:
    other = brands.create_brand(shop, "Outlet, transactional", BrandKind.TRANSACTIONAL).id
    outlet = channels.create_channel(shop, "Outlet", "email", settings={"brand_id": other}).id
    second = channels.create_channel(shop, "Shop, second", "email", settings={"brand_id": BRAND}).id
    letters = channels.create_channel(shop, "Letters", "email").id
    numbers = [
        templates.create_template(shop, channel, f"New {place}", "Hello", text="Hello").id
        for place, channel in enumerate((outlet, CHANNEL, second, outlet))
    ]
    assert len(set(numbers)) == 4
    for channel in (outlet, second):
        with pytest.raises(Conflict, match=f"template {RECEIPT} on channel {CHANNEL} already"):
            templates.save_template(shop, channel, "Same", "Hello", text="Hello", id=RECEIPT)
    templates.save_template(shop, letters, "Of a campaign", "Hello", text="Hello", id=RECEIPT)
    assert templates.template(shop, letters, RECEIPT).name == "Of a campaign"


def test_a_campaign_cannot_use_a_transactional_channel(shop: Scope) -> None:
    action_id = definitions.create_action(shop, ActionBody(name="Voucher")).id
    reached = [GroupChannel(channel_id=CHANNEL, template_id=RECEIPT, send_time="09:00")]
    with pytest.raises(Invalid, match=f"groups names channel {CHANNEL}, which is for transactional mail only."):
        definitions.check_groups(shop, [Group(action_id=action_id, share=1.0, channels=reached)])
