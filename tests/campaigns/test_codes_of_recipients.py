"""Own codes of recipients in lists that outside systems read, in files for senders and in exports."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from avro_files import records
from campaign_mail import Mailbox, mailbox
from campaign_tenant import (
    DATA_DATE,
    EMAIL,
    EXTERNAL,
    NOW,
    NUMBERS,
    TODAY,
    add_action,
    add_channels,
    add_group,
    add_profiles,
    add_series,
    customer,
    group,
    outcomes,
    publish,
    recipients,
)
from sqlalchemy import select, text

from rapport.access.scope import Scope
from rapport.campaigns import occurrences
from rapport.campaigns.cycle import tasks
from rapport.campaigns.delivery import engagements, handing_over, webhooks
from rapport.campaigns.models import Engagement
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import by_hand, processing
from rapport.messaging.contactability import suppressions
from rapport.redemptions import bulk, pools
from rapport.redemptions.definitions import CreatePool

PEOPLE = [str(customer(number)["customer_id"]) for number in range(12)]
EVENING = "20:00"
ALLOCATED = text("""
    SELECT code, person FROM pool_codes WHERE tenant_id = :tenant_id AND pool_id = :pool_id AND person IS NOT NULL
""")


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as server:
        yield server


@pytest.fixture(scope="module")
def tenant(scope: Scope, box: Mailbox) -> Scope:
    scope.clock.set(NOW)
    add_profiles(scope, [customer(number) for number in range(12)])
    scope.warehouse.insert("customers", ["customer_id"], [[who] for who in PEOPLE])
    publish(scope)
    add_channels(scope, box.port)
    add_group(scope, "Dutch", "NL")
    webhooks.set_webhook(scope, EXTERNAL, "http://127.0.0.1:9/files", "texts", 10_000, [])
    return scope


@pytest.fixture(autouse=True)
def morning(tenant: Scope) -> Iterator[None]:
    tenant.clock.set(NOW)
    yield


def add_pool(scope: Scope, id: str, codes: int) -> None:
    """A unique promo code with some codes."""
    pools.create_pool(scope, CreatePool.model_validate({"id": id, "name": id, "type": "unique"}))
    bulk.generate(scope, id, codes, 12)


def processed(scope: Scope, channel_id: int, *codes: str, at: str | None = None) -> int:
    """A campaign with promo codes whose customers are known."""
    action = add_action(scope, f"Action {next(NUMBERS)}", codes)
    groups = [group(action.id, (channel_id, 1), time=at)]
    series = add_series(scope, 1, groups, rules={"include_all": True}, control_share=0)
    number = plan_next_run(scope, series.id, TODAY)
    assert number is not None
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "scheduled"
    return number


def own_codes(scope: Scope, pool_id: str) -> dict[str, str]:
    """The codes of a pool by the customer who has each, as the records say."""
    with scope.reads() as session:
        rows = session.execute(ALLOCATED, {"tenant_id": scope.tenant_id, "pool_id": pool_id}).all()
    codes = {str(person).upper(): str(code) for code, person in rows}
    assert len(codes) == len(rows), "one for each customer"
    return codes


def listed(api: httpx.Client, function: str, number: int) -> dict[str, str]:
    """What a function says of the promo codes of each customer."""
    answer = api.get(f"/current/customers/{function}", params={"CampaignID": number}).raise_for_status()
    return {row["CustomerID"].upper(): row["PromoCode"] for row in answer.json()}


def in_files(scope: Scope, number: int) -> dict[str, str]:
    """The same of the files for senders."""
    with scope.reads() as session:
        mine = (Engagement.tenant_id == scope.tenant_id, Engagement.campaign_id == number)
        engagement = session.scalars(select(Engagement).where(*mine)).one()
    path = f"{engagement.folder}/customers/customers_file001.deflate.avro"
    body = engagements.read_file(scope, engagements.bucket(scope), path, engagement.key)
    return {str(row["CustomerID"]).upper(): str(row["PromoCode"]) for row in records(body)}


def exported(api: httpx.Client, number: int) -> dict[str, tuple[str, str]]:
    """What became of each customer and the promo codes, of the export."""
    answer = api.get("/manage/v1/exports/outcomes", params={"format": "jsonl"}).raise_for_status()
    rows: list[dict[str, Any]] = [orjson.loads(line) for line in answer.text.splitlines()]
    mine = [row for row in rows if row["campaign_id"] == number]
    return {row["customer_id"].upper(): (row["outcome"], row["promo_code"]) for row in mine}


def test_a_list_has_the_own_code_of_each_customer_wherever_it_is_read(tenant: Scope, api: httpx.Client) -> None:
    add_pool(tenant, "texts", 30)
    number = processed(tenant, EXTERNAL, "texts", "PLAIN")
    assert own_codes(tenant, "texts") == {}
    tenant.clock.set(NOW + timedelta(hours=1))
    tasks.execute_due(tenant)
    codes = own_codes(tenant, "texts")
    assert codes.keys() == {who.upper() for who in PEOPLE}
    shown = {who: f"{code},PLAIN" for who, code in codes.items()}
    assert listed(api, "GetCustomerExecutionDetailsByCampaign", number) == shown
    assert in_files(tenant, number) == shown
    assert exported(api, number) == {who: ("sent", code) for who, code in shown.items()}


def test_a_code_is_given_once_and_returns_when_its_customer_leaves_the_list(tenant: Scope, api: httpx.Client) -> None:
    add_pool(tenant, "evening", 12)
    number = processed(tenant, EXTERNAL, "evening", at=EVENING)
    unit = handing_over.pulled_units(tenant, number)[0]
    for _ in range(2):
        handing_over.prepare(tenant, unit)
    codes = own_codes(tenant, "evening")
    tenant.clock.set(NOW + timedelta(hours=1))
    tasks.execute_due(tenant)
    assert own_codes(tenant, "evening") == codes and len(codes) == 12, "prepared three times"
    assert listed(api, "GetCustomerExecutionDetailsByCampaign", number) == codes
    suppressions.suppress(tenant, PEOPLE[0], EXTERNAL, "manual")
    tenant.clock.set(NOW + timedelta(hours=12))
    tasks.execute_due(tenant)
    left = {who: code for who, code in codes.items() if who != PEOPLE[0].upper()}
    assert listed(api, "GetCustomerExecutionDetailsByCampaign", number) == left == own_codes(tenant, "evening")
    suppressions.allow(tenant, PEOPLE[0], EXTERNAL)


def test_codes_return_when_a_campaign_is_canceled(tenant: Scope, api: httpx.Client) -> None:
    add_pool(tenant, "off", 12)
    number = processed(tenant, EXTERNAL, "off", at=EVENING)
    tasks.execute_due(tenant)
    codes = own_codes(tenant, "off")
    by_hand.cancel(tenant, number)
    assert len(codes) == 12 and own_codes(tenant, "off") == {}
    assert listed(api, "GetCanceledCampaignCustomers", number) == codes, "to take them back from customers"
    assert set(exported(api, number).values()) == {("skipped", "off")}


def test_nobody_stays_on_a_list_without_a_code(tenant: Scope, api: httpx.Client) -> None:
    add_pool(tenant, "few", 5)
    number = processed(tenant, EXTERNAL, "few")
    tenant.clock.set(NOW + timedelta(hours=1))
    tasks.execute_due(tenant)
    codes = own_codes(tenant, "few")
    assert len(codes) == 5 and in_files(tenant, number) == codes
    assert listed(api, "GetCustomerExecutionDetailsByCampaign", number) == codes
    reasons = sorted((outcome, reason) for _, _, outcome, reason in outcomes(tenant, number))
    assert reasons == [("failed", "no promo code left")] * 7 + [("sent", "listed")] * 5
    assert len(recipients(tenant, number)) == 5
    assert occurrences.occurrence(tenant, number).state == "successful"


def test_messages_that_rapport_writes_are_exported_with_their_codes(
    tenant: Scope, box: Mailbox, api: httpx.Client
) -> None:
    add_pool(tenant, "letters", 20)
    number = processed(tenant, EMAIL, "letters")
    tenant.clock.set(NOW + timedelta(hours=1))
    tasks.execute_due(tenant)
    codes = own_codes(tenant, "letters")
    assert len(codes) == len(box.messages) == 12
    assert exported(api, number) == {who: ("sent", code) for who, code in codes.items()}
    assert listed(api, "GetCustomerExecutionDetailsByCampaign", number) == codes
