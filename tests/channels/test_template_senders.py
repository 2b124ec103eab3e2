"""Mail is sent as its template says, and as its channel says where the template says nothing."""

from collections.abc import Iterator

import pytest
from mail_server import MailServer, serving

from rapport.access.scope import Scope
from rapport.channels import opening, service
from rapport.channels.brands import addresses, brands
from rapport.channels.brands.models import AddressRole
from rapport.channels.messages import Origin
from rapport.channels.models import Channel
from rapport.messaging import templates
from rapport.messaging.message_writer import MessageWriter


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    with serving() as opened:
        yield opened


@pytest.fixture(scope="module")
def channel(scope: Scope, server: MailServer) -> Channel:
    settings = {"host": "127.0.0.1", "port": server.port, "from_address": "a@shop.example", "from_name": "Shop"}
    channel = service.create_channel(scope, "Email", "email", settings=settings)
    brand = brands.brand(scope, channel.settings["brand_id"])
    addresses.add_address(scope, brand, AddressRole.FROM, "spring@shop.example")
    addresses.add_address(scope, brand, AddressRole.REPLY_TO, "care@shop.example")
    return channel


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ({}, ("Shop <a@shop.example>", None)),
        ({"from_name": "Spring"}, ("Spring <a@shop.example>", None)),
        (
            {"from_name": "Spring", "from_address_id": 2, "reply_to_address_id": 1},
            ("Spring <spring@shop.example>", "care@shop.example"),
        ),
    ],
)
def test_a_template_says_as_whom_it_is_sent(
    scope: Scope, server: MailServer, channel: Channel, sender: dict[str, object], expected: tuple[str, str | None]
) -> None:
    template = templates.save_template(scope, channel.id, "T", "s", "<p>x</p>", id=1, **sender)  # type: ignore[arg-type]
    writer = MessageWriter(scope, channel, template, Origin(channel.id, 1, 1))
    message = writer.write("m-1", "Q1", "kim@mail.example", {}, {})
    with opening.trying(scope, channel) as transport:
        (receipt,) = transport.send([message])
    assert receipt.outcome == "sent", receipt.reason
    arrived = server.arrived[-1]
    assert (arrived["From"], arrived["Reply-To"]) == expected


def test_an_address_that_is_gone_is_as_the_channel_has_it(scope: Scope, channel: Channel) -> None:
    brand_id = channel.settings["brand_id"]
    gone = addresses.add_address(scope, brands.brand(scope, brand_id), AddressRole.FROM, "gone@shop.example")
    template = templates.save_template(scope, channel.id, "Gone", "s", "<p>x</p>", from_address_id=gone.id)
    addresses.remove_address(scope, brand_id, AddressRole.FROM, gone.id)
    writer = MessageWriter(scope, channel, template, Origin(channel.id, 1, 1))
    assert writer.write("m-2", "Q1", "kim@mail.example", {}, {}).sender.address == ""
