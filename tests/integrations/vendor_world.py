"""A tenant with two executed campaigns on outside channels, each row known, for what vendors report."""

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.campaigns.models import Action, Occurrence, OccurrenceChannel
from rapport.channels import service as channels
from rapport.messaging import templates

NOW = datetime(2026, 3, 12, 10, 0, tzinfo=UTC)
DAY, EARLIER = date(2026, 3, 10), date(2026, 3, 4)
EMAIL, SMS, PUSH = 504, 505, 506
# Campaign 1: group 1 gets template 11 by text and 40 by push, group 2 template 12 by text; C00.. alternate.
# Campaign 2, six days before: group 1 gets template 11 by text.
AB, EARLY, WAITING, TRIGGERED = 1, 2, 3, 4
GROUPS = {1: (12, {SMS: 11, PUSH: 40}), 2: (13, {SMS: 12})}
MEMBERS = [f"C{n:02}" for n in range(20)] + ["Zoë-1", "o'Neil\\2"]
CONTROL = ["Held-1", "Held-2"]


def group_of(customer: str) -> int:
    """The group that a member of campaign 1 is in."""
    return 1 + MEMBERS.index(customer) % 2


def _occurrence(scope: Scope, number: int, day: date, state: str, **more: Any) -> Occurrence:
    groups = [{"action_id": action, "channels": []} for action, _ in GROUPS.values()]
    plan = {
        "control_share": 0.2,
        "groups": groups if number == AB else groups[:1],
        "shares": [0.5, 0.5] if number == AB else [1.0],
    }
    return Occurrence(
        tenant_id=scope.tenant_id, id=number, series_id=number, execution_date=day, state=state, target_group_id=4,
        campaign_type="A/B" if number == AB else "Test/Control", duration=7, plan=plan, **more,
    )  # fmt: skip


def _place(scope: Scope, campaign: int, group: int, channel: int, template: int, day: date) -> OccurrenceChannel:
    return OccurrenceChannel(
        tenant_id=scope.tenant_id, campaign_id=campaign, recipient_group_id=group, channel_id=channel,
        template_id=template, action_id=GROUPS[group][0], scheduled_time=datetime(day.year, day.month, day.day, 9),
    )  # fmt: skip


def fill(scope: Scope) -> None:
    """Put everything into a tenant, whose clock then stands at NOW."""
    scope.clock.set(NOW)
    for number, name, kind in ((EMAIL, "E-mail", "email"), (SMS, "Text", "external"), (PUSH, "Push", "external")):
        channels.create_channel(scope, name, kind, id=number)
    templates.save_template(scope, EMAIL, "Own", "Hello [%FIRST_NAME%]", "<p>Hi</p>", id=7)
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DAY))
        for number, name in ((12, "Voucher"), (13, "Free delivery")):
            session.add(Action(tenant_id=scope.tenant_id, id=number, name=name, created_at=NOW))
        session.add(_occurrence(scope, AB, DAY, "successful", control_size=2, is_multi_channel=True))
        session.add(_occurrence(scope, EARLY, EARLIER, "successful"))
        session.add(_occurrence(scope, WAITING, DAY, "awaiting clearance", conditional=True))
        session.add(_occurrence(scope, TRIGGERED, DAY, "executing", is_triggered=True))
        for group, (_, places) in GROUPS.items():
            session.add_all(_place(scope, AB, group, *place, DAY) for place in places.items())
        for campaign, day in ((EARLY, EARLIER), (WAITING, DAY), (TRIGGERED, DAY)):
            session.add(_place(scope, campaign, 1, SMS, 11, day))
    columns = ["execution_date", "campaign_id", "customer_id", "channel_id", "recipient_group_id", "action_id",
               "template_id", "target_group_id", "promo_code", "scheduled_time", "end_date"]  # fmt: skip
    at = datetime(2026, 3, 10, 9, tzinfo=UTC)
    rows = [
        (DAY, AB, who, channel, group, GROUPS[group][0], template, 4, "", at, DAY)
        for who in MEMBERS
        for group in [group_of(who)]
        for channel, template in GROUPS[group][1].items()
    ]
    rows += [(DAY, AB, who, 0, 0, 1, 0, 4, "", at, DAY) for who in CONTROL]
    rows += [(EARLIER, EARLY, who, SMS, 1, 12, 11, 4, "", at, EARLIER) for who in MEMBERS[:5]]
    scope.warehouse.insert("campaign_recipients", columns, rows)
    scope.warehouse.insert("customers", ["customer_id"], [[who] for who in [*MEMBERS, *CONTROL]])


def stored(scope: Scope, campaign: int) -> list[tuple[Any, ...]]:
    """customer, channel, template, group, action, event, day, app, origin of a campaign's interactions, sorted."""
    sql = """
        SELECT customer_id, channel_id, template_id, recipient_group_id, action_id, event_id,
               toString(toDate(interaction_at, 'Europe/Berlin')), app_id, origin
        FROM campaign_interactions WHERE campaign_id = {id:UInt32}
    """
    return sorted(scope.warehouse.rows(sql, id=campaign))
