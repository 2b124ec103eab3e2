"""A/B tests that end when their winner is known, and those that orders and money decide."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from campaign_mail import Mailbox, mailbox
from campaign_tenant import (
    DATA_DATE,
    EMAIL,
    NOW,
    TODAY,
    add_action,
    add_channels,
    add_group,
    add_profiles,
    add_series,
    customer,
    publish,
)
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.app import mail_event_sinks
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.delivery.models import MailEventKind
from rapport.delivery.returns.events import Happening, accept
from rapport.delivery.returns.recorder import record_all
from rapport.messaging import templates
from rapport.messaging.tracking.tokens import TokenReader

DUE = NOW + timedelta(hours=1)
PERSONS = 120
A, B = 1, 2
SETTINGS = {"batch_size": 60, "retry_delays": [0], "messages_per_day": 999}
TEST = {"variants": [{"template_id": A}, {"template_id": B}], "share": 0.5, "wait_hours": 4}


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as server:
        yield server


@pytest.fixture(scope="module")
def tenant(scope: Scope, box: Mailbox) -> Scope:
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings={"campaigns": SETTINGS}))
    scope = scope_of(scope.stores, scope.tenant_id)
    scope.clock.set(NOW)
    add_profiles(scope, [customer(number) for number in range(PERSONS)])
    publish(scope)
    add_channels(scope, box.port, tracking=True)
    for number in (A, B):
        html = f'<a href="https://shop.example/{number}">here</a>'
        templates.save_template(scope, EMAIL, f"Mail {number}", f"Subject {number}", html, id=number)
    add_group(scope, "Dutch", "NL")
    add_action(scope, "Voucher")
    return scope


def campaign_under_test(scope: Scope, box: Mailbox, ab_test: dict[str, Any]) -> int:
    """A campaign whose test has been sent at DUE, half an hour after which its clock stands at 8:30 UTC."""
    scope.clock.set(NOW)
    box.messages.clear()
    reached = {"channel_id": EMAIL, "template_id": A, "ab_test": {**TEST, **ab_test}}
    group = {"action_id": 2, "share": 1.0, "channels": [reached]}
    series = add_series(scope, 1, [group], rules={"include_all": True}, control_share=0)
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "scheduled"
    scope.clock.set(DUE)
    assert tasks.execute_due(scope) == 1 and len(box.messages) == PERSONS / 2
    return number


def click(scope: Scope, box: Mailbox, template: int, customers: int) -> None:
    """Some customers click in the mail of a template."""
    of_template = [mail for mail in box.messages if str(mail["Subject"]) == f"Subject {template}"]
    messages = [TokenReader(scope.stores).read(str(mail["X-Rapport-Message"])) for mail in of_template[:customers]]
    accept(scope.stores, [Happening(message, MailEventKind.CLICKED, scope.clock.now()) for message in messages])
    record_all(scope.stores, mail_event_sinks(), timedelta(0))


def customers_of(box: Mailbox, template: int) -> list[str]:
    return [
        str(mail["To"]).split("@")[0].upper() for mail in box.messages if str(mail["Subject"]).endswith(str(template))
    ]


def status_of(api: httpx.Client, number: int) -> dict[str, Any]:
    (status,) = api.get(f"/manage/v1/campaigns/{number}").raise_for_status().json()["ab_tests"]
    return dict(status)


def test_a_test_ends_when_its_winner_is_known(tenant: Scope, box: Mailbox, api: httpx.Client) -> None:
    number = campaign_under_test(tenant, box, {"metric": "clicks", "when_known": True})
    latest = (DUE + timedelta(hours=4)).astimezone(UTC).isoformat().replace("+00:00", "Z")
    for minutes, clicks in ((15, 2), (31, 14)):
        tenant.clock.set(DUE + timedelta(minutes=minutes))
        click(tenant, box, B, clicks)
        assert tasks.execute_due(tenant) == 0
        waiting = status_of(api, number)
        assert (waiting["state"], waiting["decision_at"], waiting["when_known"]) == ("waiting", latest, True)
    # 14 of 30 against none of 30: a difference, whose interval at all times still has zero in it.
    low, high = waiting["variants"][0]["interval"]
    assert waiting["variants"][0]["difference"] == pytest.approx(-14 / 30) and low < -14 / 30 < 0 < high
    assert waiting["variants"][1]["interval"] is None

    tenant.clock.set(DUE + timedelta(minutes=40))
    click(tenant, box, B, 28)
    assert tasks.execute_due(tenant) == 0  # between two looks
    tenant.clock.set(DUE + timedelta(minutes=47))
    assert tasks.execute_due(tenant) == 1
    decided = status_of(api, number)
    assert (decided["state"], decided["winner_template_id"], decided["ground"]) == ("decided", B, "known")
    assert decided["variants"][0]["interval"][1] < 0
    assert Counter(str(mail["Subject"]) for mail in box.messages) == {"Subject 1": 30, "Subject 2": 30 + 60}


def test_a_winner_that_is_not_known_is_chosen_after_the_wait(tenant: Scope, box: Mailbox, api: httpx.Client) -> None:
    number = campaign_under_test(tenant, box, {"metric": "clicks", "when_known": True})
    click(tenant, box, B, 3)
    tenant.clock.set(DUE + timedelta(hours=3, minutes=59))
    assert tasks.execute_due(tenant) == 0
    tenant.clock.set(DUE + timedelta(hours=4))
    assert tasks.execute_due(tenant) == 1
    assert (status_of(api, number)["winner_template_id"], status_of(api, number)["ground"]) == (B, "best")


@pytest.mark.parametrize(("metric", "winner"), [("orders", A), ("value", B)])
def test_orders_and_money_decide(tenant: Scope, box: Mailbox, api: httpx.Client, metric: str, winner: int) -> None:
    """The customers of A order more often, those of B for more; orders of before the test do not count."""
    tenant.warehouse.execute("TRUNCATE TABLE transactions")
    number = campaign_under_test(tenant, box, {"metric": metric})
    at, before = datetime(2026, 3, 10, 10, tzinfo=UTC), datetime(2026, 3, 9, 10, tzinfo=UTC)
    a, b = customers_of(box, A), customers_of(box, B)
    bought = (
        [(who, at, 10.0) for who in [*a[:6], *a[:2]]] + [(who, at, 40.0) for who in b[:4]] + [(b[9], before, 900.0)]
    )
    rows = [[f"{metric}-{n}", who, time, amount] for n, (who, time, amount) in enumerate(bought)]
    tenant.warehouse.insert("transactions", ["transaction_id", "customer_id", "transaction_time", "amount"], rows)
    tenant.clock.set(DUE + timedelta(hours=4))
    assert tasks.execute_due(tenant) == 1
    decided = status_of(api, number)
    assert (decided["winner_template_id"], decided["ground"]) == (winner, "best")
    assert [(each["orders"], each["value"]) for each in decided["variants"]] == [(6, 80.0), (4, 160.0)]
    expected = {"orders": [6 / 30, 4 / 30], "value": [80 / 30, 160 / 30]}[metric]
    assert [each["rate"] for each in decided["variants"]] == pytest.approx(expected, rel=0.05)
