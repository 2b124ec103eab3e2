"""Unique promo codes of a campaign: one for each recipient, never twice, and back when nothing was sent."""

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from campaign_mail import Mailbox, mailbox
from campaign_tenant import (
    DATA_DATE,
    EMAIL,
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
    tally,
)
from sqlalchemy import text, update

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import by_hand, processing
from rapport.persons import service as persons
from rapport.promotions import editing, tenants
from rapport.promotions.changing import commands_of
from rapport.promotions.registered import choices
from rapport.redemptions import bulk, pools, redeeming, targets
from rapport.redemptions.definitions import ChangePool, CreatePool
from rapport.redemptions.refusals import CodeNotValid, CodeOfAnother

DUE = NOW + timedelta(hours=1)
CODE = re.compile(r"take (\S+?)<")


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as server:
        yield server


@pytest.fixture(scope="module")
def tenant(scope: Scope, box: Mailbox) -> Scope:
    with scope.records() as session:
        settings = {"campaigns": {"batch_size": 7, "retry_delays": [0, 0], "messages_per_day": 99}}
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings=settings))
    scope = scope_of(scope.stores, scope.tenant_id)
    scope.clock.set(NOW)
    add_profiles(scope, [customer(number) for number in range(20)])
    scope.warehouse.insert("customers", ["customer_id"], [[customer(number)["customer_id"]] for number in range(20)])
    add_profiles(scope, [customer(100 + n, EMAIL=f"bad{n}@example.com") for n in range(3)])
    add_profiles(scope, [customer(200 + n, EMAIL=f"later{n}@example.com") for n in range(4)])
    add_profiles(scope, [customer(300 + n, COUNTRY="BE") for n in range(6)])
    publish(scope)
    add_channels(scope, box.port)
    add_group(scope, "Dutch", "NL")
    add_group(scope, "Belgian", "BE")
    commands = [
        {"type": "create", "name": "Play"},
        {"type": "setRewardTypes", "rewardTypes": [{"key": "spins", "name": "Spins", "category": "units"}]},
        {"type": "activate"},
    ]
    tenants.change_tenant(scope, None, commands_of(commands, tenants.COMMANDS))
    rewards = [{"rewardType": "spins", "calculation": {"type": "fixed", "value": 3}}]
    launched = [
        {"type": "create", "name": "Spring", "code": "SPRING"},
        {"type": "setPromotionTiers", "promotionTiers": [{"name": "T", "conditionTree": [], "rewards": rewards}]},
        {"type": "activate"},
    ]
    editing.change_promotion(scope, "spring", commands_of(launched, editing.COMMANDS))
    return scope


@pytest.fixture(autouse=True)
def fresh(tenant: Scope, box: Mailbox) -> None:
    tenant.clock.set(NOW)
    box.messages.clear()


def add_pool(scope: Scope, id: str, codes: int) -> None:
    """A unique promo code of the promotion, with some codes."""
    definition = {"id": id, "name": id, "type": "unique", "promotionId": "spring"}
    pools.create_pool(scope, CreatePool.model_validate(definition))
    bulk.generate(scope, id, codes, 12)


def run(scope: Scope, target_group: int, *codes: str, unlinked: Sequence[str] = ()) -> int:
    """A campaign with promo codes, to its end. unlinked are for other campaigns once it is processed."""
    action = add_action(scope, f"Action {next(NUMBERS)}", codes)
    series = add_series(
        scope, target_group, [group(action.id, (EMAIL, 1))], rules={"include_all": True}, control_share=0
    )
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert number is not None
    assert processing.process(scope, number, DATA_DATE) == "scheduled"
    linked_to: dict[str, Any] = {"campaignIds": [10**9]}
    for pool_id in unlinked:
        pools.change_pool(scope, pool_id, ChangePool.model_validate(linked_to))
    scope.clock.set(DUE)
    tasks.execute_due(scope)
    return number


def allocated(scope: Scope, pool_id: str) -> dict[str, str | None]:
    """Codes of a pool with the person who got each."""
    with scope.reads() as session:
        chosen = text("SELECT code, person FROM pool_codes WHERE tenant_id = :tenant_id AND pool_id = :pool_id")
        rows = session.execute(chosen, {"tenant_id": scope.tenant_id, "pool_id": pool_id})
        return {row.code: row.person for row in rows}


def received(box: Mailbox) -> dict[str, str]:
    """What stands for the promo code in mail, by recipient."""
    mails = {}
    for message in box.messages:
        body = message.get_body(("html",))
        assert body is not None
        match = CODE.search(body.get_content())
        assert match is not None
        mails[str(message["To"])] = match[1]
    return mails


def test_each_recipient_gets_a_code_and_what_was_not_sent_returns(tenant: Scope, box: Mailbox) -> None:
    add_pool(tenant, "letters", 40)
    campaign = run(tenant, 1, "letters", "PLAIN")
    mails = received(box)
    assert len(mails) == 24 and tally(outcomes(tenant, campaign))["sent"] == 24
    texts = {address: code.split(",") for address, code in mails.items()}
    assert {parts[1] for parts in texts.values()} == {"PLAIN"}
    codes = {parts[0]: address for address, parts in texts.items()}
    assert len(codes) == 24, "never the same for two"
    of_persons = {code: person for code, person in allocated(tenant, "letters").items() if person}
    assert of_persons.keys() == codes.keys(), "the three that bounced have given theirs back"
    for code, address in codes.items():
        if not address.startswith("later"):
            assert address.startswith(str(of_persons[code]))
    code, person = next((code, person) for code, person in of_persons.items() if str(person).startswith("c000"))
    other = "c00001" if person != "c00001" else "c00002"
    with pytest.raises(CodeOfAnother):
        redeeming.redeem(tenant, redeeming.Request("other", code, other))
    assert person is not None
    assert redeeming.redeem(tenant, redeeming.Request("own", code, person))[0].promotion_id == "spring"
    erased_code, erased = next((code, who) for code, who in of_persons.items() if who and who != person)
    held = persons.export(tenant, erased).others["redemptions"]["promo_codes"]
    assert [row["code"] for row in held] == [erased_code]
    persons.erase(tenant, erased)
    assert erased not in allocated(tenant, "letters").values()
    with pytest.raises(CodeOfAnother):
        redeeming.redeem(tenant, redeeming.Request("erased", erased_code, other))


def test_nobody_gets_a_message_without_a_code(tenant: Scope, box: Mailbox) -> None:
    add_pool(tenant, "few", 4)
    campaign = run(tenant, 2, "few")
    assert len(set(received(box).values())) == 4
    reasons = [(outcome, reason) for _, _, outcome, reason in outcomes(tenant, campaign)]
    assert sorted(reasons) == [("failed", "no promo code left")] * 2 + [("sent", "")] * 4
    pools.change_pool(tenant, "few", ChangePool.model_validate({"isActive": False}))
    bulk.generate(tenant, "few", 10, 12)
    box.messages.clear()
    tenant.clock.set(NOW)
    run(tenant, 2, "few")
    assert box.messages == [], "a promo code that is deactivated gives no codes"


def test_marketers_choose_promo_codes_beside_promotions(tenant: Scope) -> None:
    add_pool(tenant, "chosen", 3)
    definition = {"id": "posters", "name": "Posters", "type": "global", "code": "Posters-26", "promotionId": "spring"}
    pools.create_pool(tenant, CreatePool.model_validate(definition))
    names = {choice.promo_code: choice.name for choice in choices(tenant)}
    assert {"SPRING": "Spring", "chosen": "chosen", "Posters-26": "Posters"}.items() <= names.items()
    for id in ("chosen", "posters"):
        pools.change_pool(tenant, id, ChangePool.model_validate({"isActive": False}))
    assert {choice.promo_code for choice in choices(tenant)}.isdisjoint({"chosen", "Posters-26"})


def test_expired_promo_codes_are_no_choices_and_later_ones_are(tenant: Scope) -> None:
    for name, members in (("over", {"expiresAt": NOW}), ("to-come", {"startsAt": NOW + timedelta(days=9)})):
        definition = {"name": name, "promotionId": "spring", **members}
        pools.create_pool(tenant, CreatePool.model_validate({**definition, "id": name, "type": "unique"}))
        pools.create_pool(tenant, CreatePool.model_validate({**definition, "type": "global", "code": f"Code-{name}"}))
    names = {choice.promo_code for choice in choices(tenant)}
    assert {"to-come", "Code-to-come"} <= names and names.isdisjoint({"over", "Code-over"})


def test_codes_of_other_campaigns_are_not_sent(tenant: Scope, box: Mailbox) -> None:
    add_pool(tenant, "linked", 12)
    refused = run(tenant, 2, "linked", unlinked=["linked"])
    assert received(box) == {} and set(allocated(tenant, "linked").values()) <= {None}
    with pytest.raises(CodeNotValid):
        targets.promotion_of_choice(tenant, "linked", refused)
    pools.change_pool(tenant, "linked", ChangePool.model_validate({"campaignIds": [refused + 1, 10**9]}))
    tenant.clock.set(NOW)
    assert run(tenant, 2, "linked") == refused + 1
    assert len(set(received(box).values())) == 6
    assert targets.promotion_of_choice(tenant, "linked", refused + 1) == "spring"


def test_a_global_code_of_other_campaigns_is_refused_and_not_printed(tenant: Scope, box: Mailbox) -> None:
    definition = {"id": "flyer", "name": "Flyer", "type": "global", "code": "Flyer-26", "promotionId": "spring"}
    pools.create_pool(tenant, CreatePool.model_validate(definition))
    run(tenant, 2, "flyer-26", "PLAIN")
    assert set(received(box).values()) == {"flyer-26,PLAIN"}, "linked to no campaign, it is for all"
    box.messages.clear()
    tenant.clock.set(NOW)
    number = run(tenant, 2, "flyer-26", "PLAIN", unlinked=["flyer"])
    assert set(received(box).values()) == {"PLAIN"}
    action = add_action(tenant, "Flyers", ("PLAIN", "flyer-26"))
    series = add_series(tenant, 2, [group(action.id, (EMAIL, 1))], rules={"include_all": True}, control_share=0)
    planned = plan_next_run(tenant, series.id, TODAY)
    assert planned is not None and planned > number
    processing.prepare_members(tenant, planned, DATA_DATE)
    with pytest.raises(CodeNotValid, match=f"The code 'flyer-26' is not linked to campaign {planned}."):
        processing.process(tenant, planned, DATA_DATE)
    pools.change_pool(tenant, "flyer", ChangePool.model_validate({"campaignIds": [planned, 10**9]}))
    assert processing.process(tenant, planned, DATA_DATE) == "scheduled"
    by_hand.cancel(tenant, planned)
