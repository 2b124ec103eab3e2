"""Conditional runs written by hand, as processing leaves them, and what must become of them by plain Python."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns import occurrences
from rapport.campaigns.models import Occurrence, OccurrenceChannel
from rapport.campaigns.states import RunState
from rapport.stores.records import next_id

DAY = date(2026, 3, 10)
SEND = datetime(2026, 3, 10, 12)  # tenant wall clock
DEADLINE = datetime(2026, 3, 10, 10, 30, tzinfo=UTC)  # 11:30 in Berlin
LIST = "campaign_recipients"
COLUMNS = ("execution_date", "campaign_id", "customer_id", "channel_id", "recipient_group_id", "action_id")
Statuses = Sequence[tuple[str, bool]]


def on_hold(
    scope: Scope, customers: Sequence[str], control: Sequence[str] = (), channels: Sequence[int] = (505,)
) -> int:
    """A run that waits for the clearance of these customers; its CampaignID."""
    with scope.records() as session:
        number = next_id(session, scope.tenant_id, "campaign")
        units = len(customers) * len(channels) + len(control)
        groups = [{"action_id": 2, "share": 1.0, "channels": [{"channel_id": c, "template_id": 4} for c in channels]}]
        session.add(
            Occurrence(
                tenant_id=scope.tenant_id,
                id=number,
                series_id=1000 + number,
                execution_date=DAY,
                state=RunState.AWAITING_CLEARANCE,
                campaign_type="Test/Control",
                duration=5,
                conditional=True,
                plan={"groups": groups, "shares": [1.0], "products": 0, "rules": {}},
                targeted=units,
                test_size=len(customers),
                control_size=len(control),
                clearance_by=DEADLINE,
                processed_at=DEADLINE - timedelta(hours=1),
            )
        )
        session.flush()
        session.add_all(_channel(scope, number, channel, len(customers)) for channel in channels)
    rows = [(DAY, number, who, channel, 1, 2) for who in customers for channel in channels]
    rows += [(DAY, number, who, 0, 0, 1) for who in control]
    times = [SEND.replace(tzinfo=UTC)] * len(rows)
    scope.warehouse.insert(
        LIST, [*COLUMNS, "scheduled_time"], [(*row, time) for row, time in zip(rows, times, strict=True)]
    )
    kept = [(DAY, number, who, 0, "control", "", DEADLINE) for who in control]
    names = ("execution_date", "campaign_id", "customer_id", "channel_id", "outcome", "reason", "recorded_at")
    scope.warehouse.insert("campaign_outcomes", names, kept)
    return number


def _channel(scope: Scope, number: int, channel: int, recipients: int) -> OccurrenceChannel:
    return OccurrenceChannel(
        tenant_id=scope.tenant_id,
        campaign_id=number,
        recipient_group_id=1,
        channel_id=channel,
        template_id=4,
        action_id=2,
        scheduled_time=SEND,
        recipients=recipients,
        state=RunState.SCHEDULED,
    )


def decided(customers: Sequence[str], calls: Sequence[Statuses]) -> dict[str, str]:
    """What must become of each customer: the last status of an id in any case, and nothing said means no."""
    last = {who.lower(): status for call in calls for who, status in call}
    words = {None: "not cleared", False: "refused", True: ""}
    return {who: words[last.get(who.lower())] for who in customers}


def found(scope: Scope, number: int) -> dict[str, Any]:
    """What became of a run: recipients left by channel, those left out with reasons, the campaign's own account."""
    left = scope.warehouse.rows(
        "SELECT customer_id, channel_id FROM campaign_recipients WHERE campaign_id = {c:UInt32} AND channel_id > 0",
        c=number,
    )
    out = scope.warehouse.rows(
        "SELECT customer_id, channel_id, outcome, reason FROM campaign_outcomes"
        " WHERE campaign_id = {c:UInt32} AND channel_id > 0",
        c=number,
    )
    campaign = occurrences.occurrence(scope, number)
    return {
        "left": sorted(left),
        "out": sorted(out),
        "state": campaign.state,
        "test_size": campaign.test_size,
        "counts": campaign.counts,
        "channels": [(row.channel_id, row.recipients, row.state) for row in occurrences.channel_rows(scope, number)],
    }


def expected(
    customers: Sequence[str], calls: Sequence[Statuses], control: int, channels: Sequence[int]
) -> dict[str, Any]:
    """What `found` must say after the deadline."""
    verdicts = decided(customers, calls)
    cleared = [who for who, reason in verdicts.items() if not reason]
    out = [(who, c, "excluded", reason) for who, reason in verdicts.items() if reason for c in channels]
    counts = {"control": control, "excluded": len(out)}
    return {
        "left": sorted((who, c) for who in cleared for c in channels),
        "out": sorted(out),
        "state": "scheduled" if cleared else "not run",
        "test_size": len(cleared),
        "counts": {name: n for name, n in counts.items() if n},
        "channels": [(c, len(cleared), "scheduled" if cleared else "not run") for c in sorted(channels)],
    }
