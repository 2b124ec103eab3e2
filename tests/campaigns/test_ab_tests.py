"""A/B tests: variants go to a part of a group, the one that persons open most to the rest, and everybody gets one."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from campaign_mail import Mailbox, mailbox
from campaign_tenant import (
    DATA_DATE,
    EMAIL,
    EXTERNAL,
    NOW,
    TODAY,
    add_action,
    add_channels,
    add_group,
    add_profiles,
    add_series,
    customer,
    outcomes,
    publish,
    recipients,
    tally,
)
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.app import mail_event_sinks
from rapport.campaigns.ab_tests import Ground, VariantFigures
from rapport.campaigns.cycle import tasks
from rapport.campaigns.delivery import completion, sending, winners
from rapport.campaigns.delivery.send_tasks import finish_unit
from rapport.campaigns.delivery.units import unit_of
from rapport.campaigns.occurrences import occurrence, plan_next_run
from rapport.campaigns.plans import PlannedChannel
from rapport.campaigns.runs import by_hand, processing, splits
from rapport.campaigns.schemas import OneTimeBody
from rapport.campaigns.states import Portion
from rapport.delivery.models import MailEventKind
from rapport.delivery.returns.events import Happening, accept
from rapport.delivery.returns.recorder import record_all
from rapport.messaging import templates
from rapport.messaging.tracking.tokens import TokenReader
from rapport.stores.workflows import work

DUE = NOW + timedelta(hours=1)
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}
SCANNER = {"User-Agent": "Barracuda Sentinel"}
PERSONS = 60
SETTINGS = {"batch_size": 20, "retry_delays": [0], "messages_per_day": 999}
HTML = '<p>Dear [%FIRST_NAME%], <a href="https://shop.example/{0}">here</a></p>'
A, B, C = 1, 2, 3
DUTCH, BELGIAN = 1, 2
VARIANTS = [{"template_id": A, "name": "Plain"}, {"template_id": B, "name": "Bold"}]
TEST = {"variants": VARIANTS, "share": 0.4, "wait_hours": 4, "metric": "opens"}


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
    add_profiles(scope, [customer(number, COUNTRY="BE") for number in range(PERSONS, 2 * PERSONS)])
    publish(scope)
    add_channels(scope, box.port, tracking=True)
    for number in (A, B, C):
        templates.save_template(scope, EMAIL, f"Mail {number}", f"Subject {number}", HTML.format(number), id=number)
    assert [add_group(scope, "Dutch", "NL"), add_group(scope, "Belgian", "BE")] == [DUTCH, BELGIAN]
    add_action(scope, "Voucher")
    return scope


def group_under_test(ab_test: dict[str, Any], template: int = A) -> dict[str, Any]:
    reached = {"channel_id": EMAIL, "template_id": template, "ab_test": ab_test}
    return {"action_id": 2, "share": 1.0, "channels": [reached]}


def run(
    scope: Scope,
    box: Mailbox,
    *groups: dict[str, Any],
    target_group: int = DUTCH,
    control_share: float = 0,
    goal: str = "orders",
    **of_goal: str,
) -> int:
    """A processed campaign whose time has come, and an empty mailbox."""
    scope.clock.set(NOW)
    box.messages.clear()
    rules, aim = {"include_all": True}, {"kind": goal, **of_goal}
    series = add_series(scope, target_group, list(groups), rules=rules, control_share=control_share, goal=aim)
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "scheduled"
    scope.clock.set(DUE)
    return number


def sent(box: Mailbox) -> dict[str, int]:
    """The template of each customer's mail, which is read from its subject; nobody has two."""
    mails = [(str(mail["To"]).split("@")[0].upper(), int(str(mail["Subject"]).split()[-1])) for mail in box.messages]
    assert len(mails) == len(dict(mails))
    return dict(mails)


def look_at(base_url: str, box: Mailbox, template: int, number: int, headers: dict[str, str] = BROWSER) -> list[str]:
    """Open the mail of some customers who have a template."""
    of_template = [mail for mail in box.messages if str(mail["Subject"]) == f"Subject {template}"][:number]
    for mail in of_template:
        page = str(mail.get_body(("html",)).get_content())  # type: ignore[union-attr]
        httpx.get(base_url + urlsplit(re.findall('src="([^"]+)"', page)[0]).path, headers=headers)
    assert len(of_template) == number
    return [str(mail["To"]).split("@")[0].upper() for mail in of_template]


def report(scope: Scope, box: Mailbox, template: int, *kinds: MailEventKind) -> None:
    """Let something else become of the first mail of a template."""
    mail = next(mail for mail in box.messages if str(mail["Subject"]) == f"Subject {template}")
    message = TokenReader(scope.stores).read(str(mail["X-Rapport-Message"]))
    accept(scope.stores, [Happening(message, kind, scope.clock.now()) for kind in kinds])


REACTIONS = ("sent", "opens", "clicks", "unsubscribes", "complaints")


def test_the_rest_gets_what_persons_opened_most(tenant: Scope, box: Mailbox, api: httpx.Client, base_url: str) -> None:
    number = run(tenant, box, group_under_test(TEST), target_group=BELGIAN, control_share=0.1)
    planned = api.get(f"/manage/v1/campaigns/{number}").raise_for_status().json()
    # 60 customers, of whom 6 are held back; 0.4 of the other 54 is 21.6, so that 11 and 11 (or 10) test.
    sizes = {(row["template_id"], row["portion"]): row["recipients"] for row in planned["channels"]}
    assert sizes == {(A, "test"): 11, (B, "test"): 11, (0, "rest"): 32}
    assert planned["ab_tests"][0]["state"] == "planned"
    assert Counter(row[4] for row in recipients(tenant, number) if row[1]) == {A: 11, B: 11, 0: 32}

    assert tasks.execute_due(tenant) == 1
    test = sent(box)
    assert test == {
        who: template for who, channel, _, _, template in recipients(tenant, number) if channel and template
    }
    assert api.get(f"/manage/v1/campaigns/{number}").json()["ab_tests"][0]["state"] == "waiting"

    waits = next(who for who, channel, _, _, template in recipients(tenant, number) if channel and not template)
    why = api.get(f"/manage/v1/campaigns/{number}/customers/{waits}").raise_for_status().json()["explanation"]
    assert why == [f"Gets the winner of the A/B test on channel {EMAIL}, which has not been chosen yet."]

    tenant.clock.set(DUE + timedelta(hours=3))
    look_at(base_url, box, A, 9, SCANNER)
    look_at(base_url, box, A, 2)
    opened = look_at(base_url, box, B, 4)
    look_at(base_url, box, B, 3)  # again
    report(tenant, box, A, MailEventKind.UNSUBSCRIBED)
    report(tenant, box, B, MailEventKind.COMPLAINT, MailEventKind.CLICKED)
    record_all(tenant.stores, mail_event_sinks(), timedelta(0))
    tenant.clock.set(DUE + timedelta(hours=4, seconds=-1))
    assert tasks.execute_due(tenant) == 0
    waiting = api.get(f"/manage/v1/campaigns/{number}").json()["ab_tests"][0]
    assert (waiting["state"], waiting["winner_template_id"]) == ("waiting", None)
    assert waiting["decision_at"] == "2026-03-10T12:30:00Z"

    tenant.clock.set(DUE + timedelta(hours=4))
    assert tasks.execute_due(tenant) == 1
    everybody = sent(box)
    assert Counter(everybody.values()) == {A: 11, B: 11 + 32} and test.items() <= everybody.items()
    assert tally(outcomes(tenant, number)) == {"sent": 54, "control": 6}
    status = api.get(f"/manage/v1/campaigns/{number}").json()
    assert (status["state"], status["ab_tests"][0]["state"]) == ("successful", "decided")
    decided = status["ab_tests"][0]
    assert (decided["winner_template_id"], decided["ground"], decided["rest"]) == (B, "best", 32)
    assert decided["decided_at"] == "2026-03-10T12:30:00Z"
    plain, bold = decided["variants"]
    assert (plain["name"], bold["name"]) == ("Plain", "Bold")
    assert [plain[name] for name in REACTIONS] == [11, 2, 0, 1, 0] and plain["rate"] == pytest.approx(2 / 11)
    assert [bold[name] for name in REACTIONS] == [11, 4, 1, 0, 1] and bold["rate"] == pytest.approx(4 / 11)

    said: dict[str, str | int] = {"CampaignID": number, "ChannelID": EMAIL, "IncludeTemplateIDs": "true"}
    wire = api.get("/current/customers/GetCustomerSendDetailsByCampaign", params=said).raise_for_status().json()
    assert {row["CustomerID"]: row["TemplateID"] for row in wire} == everybody
    assert len({(row["TemplateID"], row["SendID"]) for row in wire}) == 2
    times = Counter(row["ScheduledTime"] for row in wire)
    assert times == {"2026-03-10 09:00:00": 22, "2026-03-10 13:30:00": 32}
    rows = api.get("/current/actions/GetExecutedCampaignChannelDetails", params=said).raise_for_status().json()
    assert sorted((row["TemplateID"], row["ScheduledTime"][11:]) for row in rows) == [
        (A, "09:00:00"),
        (B, "09:00:00"),
        (B, "13:30:00"),
    ]
    assert {row["SendID"] for row in rows} == {row["SendID"] for row in wire}
    sql = "SELECT customer_id FROM campaign_interactions WHERE campaign_id = {id:UInt32} AND event_id = 2"
    rows_of_b = tenant.warehouse.rows(f"{sql} AND template_id = {B}", id=number)
    assert sorted(who for (who,) in rows_of_b) == sorted(opened)


def test_the_goal_of_the_series_decides_where_responders_do(tenant: Scope, box: Mailbox, api: httpx.Client) -> None:
    """Who bought the product since the first send, and kept it, each customer once; opens and clicks decide nothing."""
    tenant.warehouse.insert("products", ["product_id", "category"], [["P1", "Tea"], ["P2", "Tea"]])
    by_goal = {**TEST, "metric": "responders"}
    number = run(tenant, box, group_under_test(by_goal), goal="product", product_id="p1")
    tasks.execute_due(tenant)
    a, b = (sorted(who for who, template in sent(box).items() if template == variant) for variant in (A, B))
    waits = next(who for who, channel, _, _, template in recipients(tenant, number) if channel and not template)
    # By the tenant's clock: the window begins at 9:00, the choice at 13:30.
    orders = {
        b[0]: [("P1", "09:00"), ("P1", "12:00")],
        b[1]: [("P2", "12:00")],
        b[2]: [("P1", "08:59")],
        b[3]: [("P1", "12:00")],
        b[4]: [("P1", "13:29")],
        a[0]: [("P1", "13:30")],
        a[1]: [("P1", "12:00")],
        a[2]: [("P1", "12:00")],
        waits: [("P1", "12:00")],
    }
    given_back = [a[2]]
    at = {who: [(product, f"2026-03-10T{time}Z") for product, time in bought] for who, bought in orders.items()}
    buy(tenant, at, given_back)
    report(tenant, box, A, MailEventKind.CLICKED)
    record_all(tenant.stores, mail_event_sinks(), timedelta(0))
    tenant.clock.set(DUE + timedelta(hours=4))
    tasks.execute_due(tenant)
    (decided,) = api.get(f"/manage/v1/campaigns/{number}").raise_for_status().json()["ab_tests"]
    assert [(variant["clicks"], variant["responders"]) for variant in decided["variants"]] == [(1, 1), (0, 3)]
    assert [variant["rate"] for variant in decided["variants"]] == pytest.approx([1 / 12, 3 / 12])
    assert (decided["metric"], decided["winner_template_id"], decided["ground"]) == ("responders", B, "best")
    assert Counter(sent(box).values()) == {A: 12, B: 12 + 36}


def buy(scope: Scope, orders: dict[str, list[tuple[str, str]]], given_back: list[str]) -> None:
    """Orders of customers, of one product each: what and when; some customers gave theirs back wholly."""
    lines = [(f"{who}-{n}", who, *one) for who, bought in orders.items() for n, one in enumerate(bought)]
    columns = ["transaction_id", "customer_id", "transaction_time", "amount", "refund_of"]
    paid = [[order, who, datetime.fromisoformat(time), 10.0, ""] for order, who, _, time in lines]
    back = [[f"{who}-back", who, datetime(2026, 3, 10, 13, tzinfo=UTC), -10.0, f"{who}-0"] for who in given_back]
    scope.warehouse.insert("transactions", columns, [*paid, *back])
    columns = ["transaction_id", "line_number", "customer_id", "transaction_time", "product_id", "quantity"]
    items = [[order, 0, who, datetime.fromisoformat(time), product, 1, 10.0] for order, who, product, time in lines]
    scope.warehouse.insert("transaction_items", [*columns, "unit_price"], items)


def test_where_clicks_are_the_goal_who_clicked_responded(tenant: Scope, box: Mailbox, api: httpx.Client) -> None:
    by_goal = {**TEST, "metric": "responders"}
    halves = [{**group_under_test(by_goal), "share": 0.5}, {**group_under_test(by_goal), "share": 0.5}]
    number = run(tenant, box, *halves, goal="click")
    tasks.execute_due(tenant)
    report(tenant, box, B, MailEventKind.CLICKED)
    record_all(tenant.stores, mail_event_sinks(), timedelta(0))
    tenant.clock.set(DUE + timedelta(hours=4))
    tasks.execute_due(tenant)
    tests = api.get(f"/manage/v1/campaigns/{number}").raise_for_status().json()["ab_tests"]
    responders = [[variant["responders"] for variant in test["variants"]] for test in tests]
    assert sorted(responders) == [[0, 0], [0, 1]]
    assert [test["ground"] for test in tests] == ["best" if counts == [0, 1] else "tie" for counts in responders]


def test_a_person_ends_a_test_and_the_fallback_wins_where_nobody_reacted(
    tenant: Scope, box: Mailbox, api: httpx.Client
) -> None:
    """Of three groups, one gets what a person names, one what the figures tell now; one waits, with too few mails."""
    of_three = {**TEST, "variants": [*VARIANTS, {"template_id": C}], "share": 0.5}
    groups = [group_under_test(TEST), group_under_test(of_three, C), group_under_test({**TEST, "minimum_sent": 5}, B)]
    number = run(
        tenant, box, *({**group, "share": share} for group, share in zip(groups, (0.4, 0.4, 0.2), strict=True))
    )
    path, place = f"/manage/v1/campaigns/{number}/ab-test", {"recipient_group_id": 1, "channel_id": EMAIL}
    tenant.clock.set(NOW)
    early = api.post(path, json={**place, "recipient_group_id": 2}).raise_for_status().json()
    assert (early["state"], early["decision_at"]) == ("planned", "2026-03-10T08:00:00Z")
    tenant.clock.set(DUE)
    assert tasks.execute_due(tenant) == 3, "no winner before the test is sent"
    # 0.4 of 24 is 9.6, half of 24 is 12, 0.4 of 12 is 4.8.
    assert Counter(sent(box).values()) == {A: 5 + 4 + 2, B: 5 + 4 + 3, C: 4}
    tenant.clock.set(DUE + timedelta(minutes=5))
    refused = api.post(path, json={**place, "template_id": C})
    assert (refused.status_code, refused.json()["detail"]) == (400, "template_id must be one of the variants: 1, 2.")
    assert api.post(path, json={**place, "channel_id": 9, "template_id": A}).status_code == 404
    assert api.post(path, json={**place, "recipient_group_id": 4, "template_id": A}).status_code == 404
    ended = api.post(path, json={**place, "template_id": B}).raise_for_status().json()
    assert ended["ended_at"] == "2026-03-10T08:35:00Z"
    tasks.execute_due(tenant)
    assert Counter(sent(box).values()) == {A: 11, B: 12 + 14, C: 4 + 12}
    again = api.post(path, json={**place, "template_id": A})
    assert (again.status_code, "been chosen" in again.json()["detail"]) == (409, True)
    tenant.clock.set(DUE + timedelta(hours=4))
    tasks.execute_due(tenant)
    assert Counter(sent(box).values()) == {A: 11, B: 26 + 7, C: 16}
    statuses = api.get(f"/manage/v1/campaigns/{number}").json()["ab_tests"]
    assert [(status["winner_template_id"], status["ground"]) for status in statuses] == [
        (B, "chosen"),
        (C, "tie"),
        (B, "too few messages"),
    ]
    assert tally(outcomes(tenant, number)) == {"sent": PERSONS}


def test_a_deleted_variant_harms_no_other_and_does_not_win(
    tenant: Scope, box: Mailbox, api: httpx.Client, base_url: str
) -> None:
    """One of three templates is deleted before the test, and the one that was opened most after it."""

    def save(number: int) -> None:
        templates.save_template(tenant, EMAIL, f"Mail {number}", f"Subject {number}", HTML.format(number), id=number)

    of_three = {**TEST, "variants": [*VARIANTS, {"template_id": C}], "share": 0.5}
    number = run(tenant, box, group_under_test(of_three, C))
    templates.delete_template(tenant, EMAIL, C)
    tasks.execute_due(tenant)
    assert Counter(sent(box).values()) == {A: 10, B: 10}
    assert tally(outcomes(tenant, number)) == {"sent": 20, "failed": 10}
    tenant.clock.set(DUE + timedelta(hours=3))
    look_at(base_url, box, A, 2)
    look_at(base_url, box, B, 4)
    record_all(tenant.stores, mail_event_sinks(), timedelta(0))
    templates.delete_template(tenant, EMAIL, B)
    place = {"recipient_group_id": 1, "channel_id": EMAIL, "template_id": B}
    refused = api.post(f"/manage/v1/campaigns/{number}/ab-test", json=place)
    assert (refused.status_code, refused.json()["detail"]) == (404, f"There is no template {B} on channel {EMAIL}.")
    tenant.clock.set(DUE + timedelta(hours=4))
    tasks.execute_due(tenant)
    save(B)
    save(C)
    assert Counter(sent(box).values()) == {A: 10 + 30, B: 10}
    assert tally(outcomes(tenant, number)) == {"sent": 50, "failed": 10}
    status = api.get(f"/manage/v1/campaigns/{number}").json()
    assert (status["state"], status["ab_tests"][0]["winner_template_id"]) == ("successful", A)
    assert "There is no template 3 on channel" in str(status["reasons"])


def test_true_is_no_number(tenant: Scope, api: httpx.Client) -> None:
    """The validator reads true as 1: a person would have chosen template 1 by it."""
    place = {"recipient_group_id": 1, "channel_id": EMAIL, "template_id": True}
    answer = api.post("/manage/v1/campaigns/1/ab-test", json=place)
    assert (answer.status_code, answer.json()["detail"]) == (400, "template_id: must be a number, not true or false.")
    reached = {"channel_id": EMAIL, "template_id": A, "optimise_send_time": True, "ab_test": None}
    tested = {**reached, "optimise_send_time": False, "ab_test": {**TEST, "wait_hours": True}}
    body = {"name": "True", "customer_ids": ["C0"], "action_id": 2, "channels": [reached, tested]}
    tested["channel_id"] = EXTERNAL
    answer = api.post("/manage/v1/campaigns/one-time", json=body)
    assert (answer.status_code, answer.json()["detail"]) == (
        400,
        "channels[1].ab_test.wait_hours: must be a number, not true or false.",
    )


def test_a_cancelled_campaign_sends_no_winner(tenant: Scope, box: Mailbox, api: httpx.Client) -> None:
    """A one-time campaign, paused when the winner is to be chosen, and then canceled."""
    tenant.clock.set(NOW)
    box.messages.clear()
    everybody = {"name": "Once", "customer_ids": [f"C{n:05d}" for n in range(PERSONS)]}
    body = OneTimeBody.model_validate({**everybody, "action_id": 2, "channels": group_under_test(TEST)["channels"]})
    number = by_hand.one_time(tenant, body, wait=True).id
    tenant.clock.set(DUE)
    tasks.execute_due(tenant)
    api.post(f"/manage/v1/campaigns/{number}/pause").raise_for_status()
    tenant.clock.set(DUE + timedelta(hours=5))
    assert tasks.execute_due(tenant) == 0, "a paused campaign chooses no winner"
    api.post(f"/manage/v1/campaigns/{number}/cancel").raise_for_status()
    assert tasks.execute_due(tenant) == 0
    assert tally(outcomes(tenant, number)) == {"sent": 24, "skipped": 36} and len(box.messages) == 24
    status = api.get(f"/manage/v1/campaigns/{number}").json()
    assert (status["state"], status["ab_tests"][0]["state"]) == ("canceled", "canceled")
    refused = api.post(f"/manage/v1/campaigns/{number}/ab-test", json={"recipient_group_id": 1, "channel_id": EMAIL})
    assert refused.status_code == 409


def test_the_winner_is_chosen_once_whatever_is_killed(tenant: Scope, box: Mailbox, base_url: str) -> None:
    """Steps of both units run again, as they do after a kill, in the order in which that can do most harm."""
    number = run(tenant, box, group_under_test(TEST))
    tasks.execute_due(tenant)
    tenant.clock.set(DUE + timedelta(hours=4))
    look_at(base_url, box, B, 2)
    record_all(tenant.stores, mail_event_sinks(), timedelta(0))
    campaign = occurrence(tenant, number)
    test, rest = (unit_of(tenant, campaign, EMAIL, 1, portion) for portion in (Portion.TEST, Portion.REST))
    assert sending.begin(tenant, rest)
    winners.decide(tenant, rest)
    tenant.warehouse.execute(
        "ALTER TABLE campaign_recipients UPDATE template_id = 0 WHERE campaign_id = {id:UInt32} AND portion = 2",
        id=number,
    )  # killed between the two engines
    look_at(base_url, box, A, 9)
    record_all(tenant.stores, mail_event_sinks(), timedelta(0))
    winners.decide(tenant, rest)
    ends = sending.plan_batches(tenant, rest)
    assert len(ends) == 2 and sending.send_batch(tenant, rest, 1, "", ends[0])
    finish_unit(tenant.tenant_id, number, EMAIL, 1, int(Portion.TEST), "")
    completion.finish_unit(tenant, test)
    assert sending.send_batch(tenant, rest, 1, "", ends[0])
    assert sending.begin(tenant, rest), "nothing ended it"
    work.run_all(tasks._sends([[tenant.tenant_id, number, EMAIL, 1, int(Portion.REST)]]))
    assert Counter(sent(box).values()) == {A: 12, B: 12 + 36}
    assert tally(outcomes(tenant, number)) == {"sent": PERSONS}
    assert occurrence(tenant, number).state == "successful"
    with tenant.stores.records.reading() as connection:
        query = "SELECT count(*) FROM messages WHERE source_id = %s AND tenant_id = %s"
        assert connection.exec_driver_sql(query, (number, tenant.tenant_id)).scalar_one() == 0


def test_the_rest_gets_the_fallback_if_the_test_could_not_be_sent(tenant: Scope, box: Mailbox) -> None:
    number = run(tenant, box, group_under_test(TEST))
    test = unit_of(tenant, occurrence(tenant, number), EMAIL, 1, Portion.TEST)
    assert sending.begin(tenant, test)
    sending.abandon(tenant, test, "no server")
    finish_unit(tenant.tenant_id, number, EMAIL, 1, int(Portion.TEST), "no server")
    tenant.clock.set(DUE + timedelta(hours=4))
    tasks.execute_due(tenant)
    assert Counter(sent(box).values()) == {A: 36} and tally(outcomes(tenant, number)) == {"failed": 24, "sent": 36}
    campaign = occurrence(tenant, number)
    assert (campaign.state, campaign.error) == ("successful", f"Channel {EMAIL}: no server")


def test_a_dry_run_shows_the_rest_at_the_hour_of_the_winner(tenant: Scope, api: httpx.Client) -> None:
    tenant.clock.set(NOW)
    group = group_under_test({**TEST, "wait_hours": 2.5})
    series = add_series(tenant, DUTCH, [group], rules={"include_all": True}, control_share=0)
    answer = api.post(f"/manage/v1/series/{series.id}/dry-run").raise_for_status().json()
    hours = {row["hour"]: row["customers"] for row in answer["leaving"]}
    assert hours == {"2026-03-10T09:00:00": 24, "2026-03-10T11:00:00": 36}


def test_what_cannot_be_tested_is_refused_in_one_sentence(tenant: Scope, api: httpx.Client) -> None:
    def refusal(ab_test: dict[str, Any], channel: int = EMAIL, template: int = A, **more: Any) -> str:
        reached = {"channel_id": channel, "template_id": template, "ab_test": ab_test}
        groups = [{"action_id": 2, "share": 1.0, "channels": [reached]}]
        schedule = {"kind": "once", "start_date": "2026-03-11"}
        body = {"name": "Refused", "target_group_id": 1, "groups": groups, "schedule": schedule, **more}
        answer = api.post("/manage/v1/series", json=body)
        assert answer.status_code in (400, 404, 422), answer.text
        return str(answer.json()["detail"])

    assert "template_id must be one of the variants of ab_test" in refusal(TEST, template=C)
    assert "variants names a template twice" in refusal({**TEST, "variants": [VARIANTS[0], VARIANTS[0]]})
    assert "share" in refusal({**TEST, "share": 0.05}) and "wait_hours" in refusal({**TEST, "wait_hours": 49})
    assert "variants" in refusal({**TEST, "variants": VARIANTS[:1]})
    assert "must be false if a group has an ab_test" in refusal(TEST, conditional=True)
    assert refusal(TEST, channel=EXTERNAL) == (
        f"ab_test needs a channel on which Rapport itself sends: channel {EXTERNAL} is external."
    )
    assert "99" in refusal({**TEST, "variants": [*VARIANTS, {"template_id": 99}]})


@given(st.integers(0, 10_000), st.floats(0.1, 0.5), st.integers(2, 5))
def test_variants_get_equal_parts(count: int, share: float, variants: int) -> None:
    *sizes, rest = splits.tested(count, share, variants)
    assert sum(sizes) + rest == count and max(sizes) - min(sizes) <= 1
    assert abs(sum(sizes) - count * share) <= 0.5 + 1e-6


FIGURES = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=5)


@given(FIGURES, st.integers(1, 5), st.sampled_from([0, 1, 20]))
def test_the_best_variant_wins_and_the_fallback_if_there_is_none(
    counts: list[tuple[int, int]], fallback: int, minimum: int
) -> None:
    fallback = min(fallback, len(counts))
    variants = [{"template_id": n} for n, _ in enumerate(counts, start=1)]
    channel = PlannedChannel.model_validate(
        {"channel_id": 4, "template_id": fallback, "ab_test": {**TEST, "variants": variants, "minimum_sent": minimum}}
    )
    figures = [
        VariantFigures(
            template_id=n,
            name="",
            recipients=sent,
            sent=sent,
            opens=opens,
            clicks=0,
            unsubscribes=0,
            complaints=0,
            rate=opens / sent if sent else 0.0,
        )
        for n, (sent, opens) in enumerate(counts, start=1)
    ]
    winner, ground = winners.best(channel, figures, range(1, len(counts) + 1))
    rates = [Fraction(opens, sent) if sent else Fraction(0) for sent, opens in counts]
    unbeaten = [n for n, rate in enumerate(rates, start=1) if rate == max(rates)]
    if min(sent for sent, _ in counts) < minimum:
        assert (winner, ground) == (fallback, Ground.TOO_FEW)
    elif len(unbeaten) == 1:
        assert (winner, ground) == (unbeaten[0], Ground.BEST)
    else:
        assert (winner, ground) == (fallback if fallback in unbeaten else unbeaten[0], Ground.TIE)
    # Without the winner's template, the others are compared as if it had not been there.
    others = [figure for figure in figures if figure.template_id != winner]
    present = [figure.template_id for figure in others]
    second, _ = winners.best(channel, figures, present)
    best_rate = max(figure.rate for figure in others)
    assert second in present
    if ground is not Ground.TOO_FEW:
        assert next(figure.rate for figure in others if figure.template_id == second) == best_rate
    assert winners.best(channel, figures, []) == (winner, ground)
