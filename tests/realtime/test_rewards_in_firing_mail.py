"""Mail of firings shows what promotions granted, the same at every try; what was not sent is given back to budgets."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from asked_firings import campaign, fire, firing
from campaign_mail import Mailbox, mailbox
from campaign_tenant import EMAIL, add_channels
from gateway_server import eventually
from promotion_tenant import add_attributes, create_tenant, launch, spins, tier
from redemption_calls import NUMBERS, lifetime, redeem, set_budgets, used
from sqlalchemy import select, update
from trigger_world import add_customers

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.campaigns.models import Occurrence
from rapport.delivery.models import OutboxMessage
from rapport.messaging import templates
from rapport.messaging.contactability import suppressions
from rapport.realtime import persons
from rapport.realtime.matching import releasing
from rapport.realtime.sending import Sender
from rapport.redemptions.models import Redemption

LETTER, SPINS = 7, 5
PEOPLE = [f"C{number:02}" for number in range(50)]
SENT = ("done", "sent", "")


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as made:
        yield made


@pytest.fixture(scope="module")
def tenant(scope: Scope, api: httpx.Client, box: Mailbox) -> Scope:
    delays = {"settings": {"campaigns": {"retry_delays": [0.2, 0.2]}}}
    api.patch("/manage/v1/tenants/current", json=delays).raise_for_status()
    add_attributes(scope)
    others = [{"customer_id": who, "EMAIL": f"{who.lower()}@example.com"} for who in ("LATER", "BAD")]
    add_customers(scope, [{"customer_id": who, "EMAIL": f"{who.lower()}@example.com"} for who in PEOPLE] + others)
    with scope.records() as session:
        today = scope.today() - timedelta(days=1)
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=today))
    create_tenant(api)
    scope = scope_of(scope.stores, scope.tenant_id)
    add_channels(scope, box.port)
    page = '<p>[%REWARD:freeSpins:no%] spins</p> <a href="[%VIEW_IN_BROWSER%]">view</a> [%UNSUBSCRIBE_URL%]'
    templates.save_template(scope, EMAIL, "Spins", "[%IF:REWARD:freeSpins%]Spins[%END:IF%]", page, id=LETTER)
    return scope


@pytest.fixture
def sender(tenant: Scope) -> Iterator[Sender]:
    made = Sender(tenant.stores)
    made.start()
    yield made
    made.stop()


def offered(scope: Scope, api: httpx.Client, *budgets: dict[str, Any]) -> tuple[str, Occurrence]:
    """A promotion with budgets, and the day of a triggered campaign that mails it."""
    id = f"MAILED-{next(NUMBERS)}"
    launch(api, id, [tier("all", [], spins(SPINS))])
    set_budgets(api, id, *budgets)
    rules = {"publishes_promotions": True}
    return id, campaign(scope, [id], [{"channel_id": EMAIL, "template_id": LETTER}], rules=rules)


def let_out(scope: Scope, firing_ids: list[int]) -> None:
    with scope.records() as session:
        releasing.release(scope, session, firing_ids)


def state(scope: Scope, firing_id: int) -> tuple[str, str, str]:
    fired = firing(scope, firing_id)
    return fired.state, fired.outcome, fired.reason


def test_mail_shows_the_reward_that_was_granted_then(
    tenant: Scope, api: httpx.Client, box: Mailbox, sender: Sender, base_url: str
) -> None:
    id, of = offered(tenant, api, lifetime("redemptions", 9))
    launched = [{"type": "setPromotionTiers", "promotionTiers": [tier("all", [], spins(99))]}]
    box.gate.clear()
    try:
        (fired,) = fire(tenant, of, "LATER")
        let_out(tenant, [fired])
        api.post(f"/v1/promotions/{id}/transactions", json={"commands": launched})
    finally:
        box.gate.set()
    eventually(lambda: state(tenant, fired) == SENT)
    (mail,) = [mail for mail in box.messages if mail["To"] == "later@example.com"]
    html = mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert (mail["Subject"], f"<p>{SPINS} spins</p>" in html) == ("Spins", True)
    with tenant.reads() as session:
        message = session.scalars(select(OutboxMessage).where(OutboxMessage.source_id == fired)).one()
    assert message.attempts == 2, "it was refused for now, and tried again"
    shown = httpx.get(base_url + urlsplit(html.split('href="')[1].split('"')[0]).path)
    assert f"<p>{SPINS} spins</p>" in shown.text and used(api, id) == [1]


def test_what_was_not_sent_is_given_back(tenant: Scope, api: httpx.Client, sender: Sender) -> None:
    id, of = offered(tenant, api, lifetime("audience", 9), lifetime("reward", 90, "freeSpins"))
    bad, well = fire(tenant, of, "BAD", "C41")
    let_out(tenant, [bad, well])
    eventually(lambda: firing(tenant, bad).state == firing(tenant, well).state == "done")
    assert state(tenant, well) == SENT and firing(tenant, bad).outcome == "failed"
    assert used(api, id) == [1, SPINS]


def test_who_cannot_be_reached_takes_nothing(tenant: Scope, api: httpx.Client, sender: Sender) -> None:
    id, of = offered(tenant, api, lifetime("redemptions", 9))
    (fired,) = fire(tenant, of, "C42")
    suppressions.suppress(tenant, "C42", EMAIL)
    let_out(tenant, [fired])
    assert state(tenant, fired) == ("done", "suppressed", "suppression list") and used(api, id) == [0]


def test_an_erasure_gives_back_what_was_not_sent(tenant: Scope, api: httpx.Client) -> None:
    id, of = offered(tenant, api, lifetime("redemptions", 9))
    fired = fire(tenant, of, "C43", "C44")
    let_out(tenant, fired)
    assert used(api, id) == [2]
    assert [row["rewards"]["values"] for row in persons.held(tenant, "C43")["trigger_firings"]] == [
        {"FREESPINS": str(SPINS)}
    ]
    persons.forget(tenant, "C43", lambda name: None)
    assert persons.held(tenant, "C43")["trigger_firings"] == [] and used(api, id) == [1]


def test_budgets_are_exact_however_many_take_of_them_at_once(tenant: Scope, api: httpx.Client, base_url: str) -> None:
    cap = 18
    id, of = offered(tenant, api, lifetime("redemptions", cap), lifetime("customer", 1))
    fired = fire(tenant, of, *PEOPLE[:30])
    parts = [fired[part::3] for part in range(3)]
    with ThreadPoolExecutor(4) as threads:
        releases = [threads.submit(let_out, tenant, part) for part in parts]
        redeemed = [redeem(api, id, who).status_code for who in PEOPLE[30:40]]
        for release in releases:
            release.result(timeout=60)
    granted = [firing(tenant, firing_id).rewards for firing_id in fired]
    assert sum(rewards is not None for rewards in granted) + redeemed.count(201) == cap
    assert used(api, id) == [cap, None]
    with tenant.reads() as session:
        live = session.scalars(select(Redemption.person).where(Redemption.promotion_id == id)).all()
    assert len(live) == len(set(live)) == cap
