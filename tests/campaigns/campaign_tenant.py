"""A tenant of known customers to campaign to: what each test needs is added by hand and worked out in plain Python."""

import itertools
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.audiences import groups as audience_groups
from rapport.campaigns import definitions
from rapport.campaigns.models import Action, Occurrence, Series
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.campaigns.schemas import ActionBody, SeriesBody
from rapport.channels import service as channels
from rapport.messaging import templates

DATA_DATE = date(2026, 3, 9)
TODAY = date(2026, 3, 10)
NOW = datetime(2026, 3, 10, 7, 30, tzinfo=UTC)  # 08:30 in Berlin, before the default send time
EXTERNAL, EMAIL = 505, 504

CUSTOMERS = 120
NUMBERS = itertools.count(1)

# Customers of two countries, and what they bought up to the data date.
FILL = (
    f"""
    INSERT INTO customers (customer_id, REGISTRATION_DATE, EMAIL, COUNTRY, FIRST_NAME)
    SELECT concat('C', leftPad(toString(number), 5, '0')), toDate('2025-01-01') + number,
        concat(if(number % 11 = 0, 'later', if(number % 13 = 0, 'bad', 'c')), toString(number), '@example.com'),
        if(number % 3 = 0, 'BE', 'NL'), concat('N', toString(number))
    FROM numbers({CUSTOMERS})
    """,
    f"""
    INSERT INTO transactions (transaction_id, customer_id, transaction_time, amount)
    SELECT toString(number), concat('C', leftPad(toString(number % {CUSTOMERS}), 5, '0')),
        toDateTime('2025-06-01 10:00:00', 'UTC') + cityHash64(number) % (281 * 86400), 5 + cityHash64(number, 1) % 90
    FROM numbers({CUSTOMERS} * 5)
    """,
)

Outcome = tuple[str, int, str, str]


def add_profiles(scope: Scope, rows: list[dict[str, Any]], data_date: date = DATA_DATE) -> None:
    """Insert profiles of a date; rows name customer_id and any attributes."""
    names = [
        "customer_id",
        "EMAIL",
        "COUNTRY",
        "FIRST_NAME",
        "ALLOW_EMAIL",
        "IS_OPTIN",
        "IS_BLOCKED",
        "IS_TEST",
        "LANGUAGE",
    ]
    values = [[data_date, *(row.get(name) for name in names)] for row in rows]
    scope.warehouse.insert("profiles", ["data_date", *names], values)


def customer(number: int, **attributes: Any) -> dict[str, Any]:
    """A reachable customer of the country NL."""
    name = f"C{number:05d}"
    return {
        "customer_id": name,
        "EMAIL": f"{name.lower()}@example.com",
        "COUNTRY": "NL",
        "FIRST_NAME": name,
    } | attributes


def publish(scope: Scope, data_date: date = DATA_DATE) -> None:
    """Say that a data date is complete."""
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=data_date))


def add_channels(scope: Scope, smtp_port: int = 25, **settings: Any) -> None:
    """The external channel 505 and the e-mail channel 504 with template 1."""
    channels.create_channel(scope, "Text messages", "external", id=EXTERNAL)
    mail = {"host": "127.0.0.1", "port": smtp_port, "from_address": "shop@example.com", **settings}
    channels.create_channel(scope, "E-mail", "email", id=EMAIL, settings=mail)
    html = "<p>Dear [%FIRST_NAME:customer%], take [%PROMO_CODE%]</p>"
    templates.save_template(scope, EMAIL, "Hello", "Hi [%FIRST_NAME%]", html, id=1)


def add_action(scope: Scope, name: str = "Voucher", codes: tuple[str, ...] = ()) -> Action:
    """An action."""
    return definitions.create_action(scope, ActionBody(name=name, promo_codes=list(codes)))


def add_group(scope: Scope, name: str, country: str, priority: int | None = None) -> int:
    """A target group of the customers of a country."""
    definition = {"attribute": "COUNTRY", "operator": "equals", "value": country}
    return audience_groups.create_target_group(scope, name, definition, priority).id


def group(action: int, *places: tuple[int, int], share: float = 1.0, time: str | None = None, **more: Any) -> Any:
    """A recipient group on these (channel, template)."""
    reached = [{"channel_id": channel, "template_id": template, "send_time": time} for channel, template in places]
    return {"action_id": action, "share": share, "channels": reached, **more}


def add_series(scope: Scope, target_group: int, groups: list[Any], **more: Any) -> Series:
    """A series that runs daily from 2026-03-10 unless told otherwise."""
    kinds = {1: "Test/Control", 2: "A/B"}
    body = {
        "name": f"Series {next(NUMBERS)}",
        "target_group_id": target_group,
        "campaign_type": kinds.get(len(groups), "A/B/n"),
        "schedule": {"kind": "daily", "start_date": TODAY.isoformat()},
        "groups": groups,
        **more,
    }
    return definitions.create_series(scope, SeriesBody.model_validate(body))


def awaiting_clearance(scope: Scope, series: Series) -> int:
    """Today's run of a conditional series, processed until it waits for the approval of its customers."""
    number = plan_next_run(scope, series.id, TODAY)
    assert number is not None
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "awaiting clearance"
    return number


def outcomes(scope: Scope, campaign: Occurrence | int) -> list[Outcome]:
    """customer, channel, outcome, reason of a campaign, sorted."""
    number = campaign if isinstance(campaign, int) else campaign.id
    sql = "SELECT customer_id, channel_id, outcome, reason FROM campaign_outcomes WHERE campaign_id = {id:UInt32}"
    return sorted((str(a), int(b), str(c), str(d)) for a, b, c, d in scope.warehouse.rows(sql, id=number))


def recipients(scope: Scope, campaign: Occurrence | int) -> list[tuple[Any, ...]]:
    """customer, channel, group, action, template of a campaign, sorted."""
    number = campaign if isinstance(campaign, int) else campaign.id
    sql = """
        SELECT customer_id, channel_id, recipient_group_id, action_id, template_id FROM campaign_recipients
        WHERE campaign_id = {id:UInt32}
    """
    return sorted(scope.warehouse.rows(sql, id=number))


def tally(rows: list[Outcome]) -> dict[str, int]:
    """Units by outcome."""
    return dict(Counter(row[2] for row in rows))
