"""What was accepted is handed to the sender of its process, as safely as what a sender looks for in the records."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from campaign_mail import Mailbox
from gateway_server import eventually
from sqlalchemy import delete, select, text, update
from transactional_world import BRAND, CHANNEL, HTML, RECEIPT, SUBJECT

from loaded_program import begin_script
from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.brands import brands
from rapport.channels.brands.models import BrandKind
from rapport.delivery.ids import message_id, message_id_sql
from rapport.delivery.models import OutboxMessage, Source, State
from rapport.delivery.worker import Place
from rapport.errors import NotFound
from rapport.messaging import templates
from rapport.stores import Stores
from rapport.transactional import accepting
from rapport.transactional.known_templates import known_template
from rapport.transactional.messages import TransactionalSender
from rapport.transactional.models import Recipient
from rapport.transactional.requests import Addressee, Order

CONNECTIONS, REQUESTS = 4, 60
ACCEPTING = f"""
import sys, time, types
from rapport.access.scope import scope_of
from rapport.settings import Settings
from rapport.stores.clock import Clock
from rapport.stores.records import Records
from rapport.stores.workers.base import Workers
from rapport.transactional import accepting
from rapport.transactional.messages import TransactionalSender
from rapport.transactional.requests import Addressee, Order
settings = Settings(allow_private_addresses=True)
opened = {{"records": Records(sys.argv[1]), "settings": settings, "clock": Clock(), "workers": Workers()}}
stores = types.SimpleNamespace(**opened)
sender = TransactionalSender(stores)
sender.start()
while sender.place(int(sys.argv[2]), 0, 0) is None:
    time.sleep(0.01)
scope = scope_of(stores, int(sys.argv[2]))
for number in range({REQUESTS}):
    accepting.send_template(scope, {RECEIPT}, Order([Addressee(f"killed{{number}}@mail.example")], []))
time.sleep(60)
"""


def arrived(box: Mailbox, name: str) -> list[str]:
    return sorted(str(mail["To"]) for mail in box.messages if mail["To"].startswith(name))


def order(name: str, count: int) -> Order:
    return Order([Addressee(f"{name}{number}@mail.example") for number in range(count)], [])


def messages(scope: Scope) -> list[tuple[str, int]]:
    with scope.reads() as session:
        mine = select(OutboxMessage.state, OutboxMessage.claims).where(OutboxMessage.tenant_id == scope.tenant_id)
        return [(state, claims) for state, claims in session.execute(mine)]


def accepted_by_child(scope: Scope) -> list[Recipient]:
    with scope.reads() as session:
        mine = select(Recipient).where(Recipient.tenant_id == scope.tenant_id, Recipient.address.like("killed%"))
        return list(session.scalars(mine))


def test_a_message_id_is_the_same_in_the_records(scope: Scope) -> None:
    for tenant_id, source_id, channel_id, customer_id in [(1, 1, 1, ""), (7, 2**40, 612, "Zoë/1"), (12, 90_417, 3, "")]:
        numbers = (str(tenant_id), Source.TRANSACTIONAL, str(source_id), str(channel_id))
        with scope.reads() as session:
            in_records = session.scalar(
                text(f"SELECT {message_id_sql(*numbers, 'CAST(:customer_id AS text)')}"), {"customer_id": customer_id}
            )
        assert in_records == message_id(tenant_id, Source.TRANSACTIONAL, source_id, channel_id, customer_id)


def test_a_sender_takes_what_it_has_room_for(stores: Stores, shop: Scope, box: Mailbox) -> None:
    """Beyond that, and without a sender, messages wait in the records for whoever claims them."""
    accepting.send_template(shop, RECEIPT, order("alone", 1))
    assert messages(shop) == [(State.PENDING, 0)]
    sender = TransactionalSender(stores)
    assert sender.place(shop.tenant_id, CHANNEL, 1) is None, "it does not work yet"
    sender.start()
    try:
        eventually(lambda: len(arrived(box, "alone")) == 1)
        eventually(lambda: messages(shop) == [])
        most, places = sender.per_channel, list[Place]()
        # A sender has room again a moment after it has entered what became of a message.
        eventually(lambda: places.extend(filter(None, [sender.place(shop.tenant_id, CHANNEL, most)])) or places)
        assert sender.place(shop.tenant_id, CHANNEL, 1) is None
        assert sender.place(shop.tenant_id, CHANNEL + 1, most) is not None, "each channel has its own"
        accepting.send_template(shop, RECEIPT, order("waiting", 2))
        sender.hand_over(places[0], [])
        accepting.send_template(shop, RECEIPT, order("handed", 3))
        eventually(lambda: (len(arrived(box, "waiting")), len(arrived(box, "handed"))) == (2, 3))
        eventually(lambda: messages(shop) == [])
    finally:
        sender.stop()


def test_mail_that_was_handed_over_at_kill_9(stores: Stores, shop: Scope, box: Mailbox) -> None:
    channel = channels.channel(shop, CHANNEL)
    channels.update_channel(shop, channel.id, settings={**channel.settings, "connections": CONNECTIONS})
    box.pause = 0.3
    child = begin_script(ACCEPTING, stores.records.url, str(shop.tenant_id))
    try:
        eventually(lambda: len(accepted_by_child(shop)) == REQUESTS and len(arrived(box, "killed")) > 10)
    finally:
        child.kill()
        child.wait()
    box.pause = 0
    with shop.records() as session:  # as if the time of its claims had come
        claimed = update(OutboxMessage).where(OutboxMessage.tenant_id == shop.tenant_id)
        past = datetime.now(UTC) - timedelta(seconds=1)
        session.execute(claimed.where(OutboxMessage.state == State.CLAIMED).values(due_at=past))
    sender = TransactionalSender(stores)
    sender.start()
    try:
        eventually(lambda: messages(shop) == [])
    finally:
        sender.stop()
    log = accepted_by_child(shop)
    assert {recipient.state for recipient in log} == {State.SENT}
    ids = Counter(mail["Message-ID"] for mail in box.messages if mail["To"].startswith("killed"))
    assert set(arrived(box, "killed")) == {recipient.address for recipient in log}
    assert len(ids) == REQUESTS
    assert sum(ids.values()) - REQUESTS <= 2 * CONNECTIONS, "what was in flight, or decided and not entered yet"


def test_a_template_that_was_changed_meanwhile_is_read_again(shop: Scope) -> None:
    """The statement that enters a request makes sure that the template is as it was read, and where it belongs."""
    known = known_template(shop, RECEIPT)
    assert known_template(shop, RECEIPT) is known
    templates.save_template(shop, CHANNEL, "Receipt", SUBJECT, "<p>[%TRANS:ADDED%]</p>", id=RECEIPT)
    accepted = accepting.send_template(shop, RECEIPT, order("changed", 1))
    assert accepted.missing_tags == ["ADDED", "FIRST_NAME"]
    again = known_template(shop, RECEIPT)
    assert (again is known, again.template.html) == (False, "<p>[%TRANS:ADDED%]</p>")

    channels.update_channel(shop, CHANNEL, name="Renamed")
    accepting.send_template(shop, RECEIPT, order("renamed", 1))
    assert known_template(shop, RECEIPT).stream.channel.name == "Renamed"
    brands.update_brand(shop, BRAND, kind=BrandKind.MARKETING)
    with pytest.raises(NotFound):
        accepting.send_template(shop, RECEIPT, order("moved", 1))
    brands.update_brand(shop, BRAND, kind=BrandKind.TRANSACTIONAL)
    templates.save_template(shop, CHANNEL, "Receipt", SUBJECT, HTML, id=RECEIPT)
    assert accepting.send_template(shop, RECEIPT, order("back", 1)).missing_tags == ["FIRST_NAME", "ORDER_ID"]
    templates.delete_template(shop, CHANNEL, RECEIPT)
    with pytest.raises(NotFound):
        accepting.send_template(shop, RECEIPT, order("gone", 1))
    templates.save_template(shop, CHANNEL, "Receipt", SUBJECT, HTML, id=RECEIPT)
    with shop.records() as session:  # nobody is to send them
        session.execute(delete(OutboxMessage).where(OutboxMessage.tenant_id == shop.tenant_id))
