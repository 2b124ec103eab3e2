"""Interactions that vendors report: what is stored agrees with who got what, however often and in whatever order."""

import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from vendor_world import (
    AB,
    CONTROL,
    EARLY,
    GROUPS,
    MEMBERS,
    NOW,
    PUSH,
    SMS,
    TRIGGERED,
    WAITING,
    fill,
    group_of,
    stored,
)

from rapport.access.models import AuditEntry
from rapport.access.scope import Scope
from rapport.campaigns.measurement import interactions
from rapport.campaigns.measurement.interactions import ReportedInteraction
from rapport.campaigns.models import OccurrenceChannel
from rapport.delivery.models import OutboxMessage
from rapport.errors import Invalid
from rapport.messaging.contactability import preferences, suppressions
from rapport.realtime.models import Firing
from rapport.realtime.recording.pending_receipts import unfiled_receipts

TODAY = date(2026, 3, 12)  # of NOW, for the tenant


@pytest.fixture(scope="module")
def world(scope: Scope) -> Iterator[Scope]:
    fill(scope)
    yield scope
    scope.clock.set(None)


@pytest.fixture
def empty(world: Scope) -> Scope:
    world.warehouse.execute("TRUNCATE TABLE campaign_interactions")
    return world


def of(customer: str, event: int = 3, campaign: int = AB, channel: int = SMS, **more: object) -> ReportedInteraction:
    known = customer in MEMBERS and campaign == AB
    template = GROUPS[group_of(customer)][1].get(channel, 11) if known else 11
    given = {"template_id": template, "at": NOW, **more}
    return ReportedInteraction(campaign, channel, event_id=event, customer_id=customer, **given)  # type: ignore[arg-type]


def row(customer: str, event: int, day: date = TODAY, channel: int = SMS) -> tuple[object, ...]:
    """What must be stored of a member of campaign 1."""
    group = group_of(customer)
    action, places = GROUPS[group]
    return (customer, channel, places[channel], group, action, event, day.isoformat(), "", "api")


def test_group_action_and_template_are_what_the_customer_got(empty: Scope) -> None:
    rows = [of("C00"), of("c01", template_id=12), of("ZOË-1"), of("o'Neil\\2", template_id=11, recipient_group_id=1)]
    rows += [of("C02", 2, channel=PUSH)]
    assert interactions.add_interactions(empty, rows, unfiled_receipts) == 5
    expected = [row("C00", 3), row("C01", 3), row("Zoë-1", 3), row("o'Neil\\2", 3), row("C02", 2, channel=PUSH)]
    assert stored(empty, AB) == sorted(expected)


def test_strangers_and_control_are_passed_over_and_counted(empty: Scope) -> None:
    rows = [of("C04"), of(CONTROL[0]), of("nobody"), of("C05", channel=PUSH, template_id=40)]
    assert interactions.add_interactions(empty, rows, unfiled_receipts) == 1
    assert stored(empty, AB) == [row("C04", 3)]


def test_the_same_again_is_written_once_a_day(empty: Scope) -> None:
    tomorrow = NOW + timedelta(days=1)
    rows = [of("C06"), of("c06"), of("C06", at=NOW + timedelta(hours=3)), of("C06", at=tomorrow)]
    assert interactions.add_interactions(empty, rows, unfiled_receipts) == 2
    assert interactions.add_interactions(empty, rows, unfiled_receipts) == 0
    assert stored(empty, AB) == [row("C06", 3), row("C06", 3, tomorrow.date())]


def test_the_day_is_the_tenants(empty: Scope) -> None:
    late = datetime(2026, 3, 11, 23, 30, tzinfo=UTC)  # the 12th in Berlin
    assert interactions.add_interactions(empty, [of("C07", at=late), of("C07", at=NOW)], unfiled_receipts) == 1
    assert stored(empty, AB) == [row("C07", 3, date(2026, 3, 12))]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (of("C00", campaign=99), "CampaignID: there is no campaign 99"),
        (of("C00", campaign=WAITING), "CampaignID: campaign 3 is awaiting clearance"),
        (of("C00", channel=504), "ChannelID: campaign 1 does not use channel 504"),
        (of("C00", template_id=99), "TemplateID: campaign 1 does not use template 99"),
        (of("C01", channel=PUSH, recipient_group_id=2, template_id=40), "RecipientGroupID: campaign 1 has no"),
        (
            of("C00", recipient_group_id=1, template_id=12),
            "RecipientGroupID: recipient group 1 of campaign 1 does not use template 12 on channel 505.",
        ),
        (of("C00", 8), "EventID must be one of"),
    ],
)
def test_nothing_is_written_when_one_row_is_bad(empty: Scope, bad: ReportedInteraction, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        interactions.add_interactions(empty, [of("C01"), of("C02", 4), bad], unfiled_receipts)
    assert stored(empty, AB) == []
    assert preferences.unreachable(empty, SMS, ["C02"]) == {}


def test_who_unsubscribes_complains_or_bounces_is_suppressed(empty: Scope) -> None:
    rows = [of("C10", 4), of("C11", 6), of("C12", 7), of("C13", 5), of("Stranger", 4), of("C14", 3)]
    interactions.add_interactions(empty, rows, unfiled_receipts)
    asked = ["C10", "C11", "C12", "C13", "stranger", "C14"]
    assert set(preferences.unreachable(empty, SMS, asked)) == {"C10", "C11", "C12", "stranger"}
    assert preferences.unreachable(empty, PUSH, asked) == {}
    reasons = {one.customer_id: one.reason for one in suppressions.list_suppressions(empty, channel_id=SMS)}
    assert reasons["C10"] == "unsubscribed" and reasons["C11"] == "complaint" and reasons["C12"] == "bounced"
    # A report that comes again does not undo that somebody was let in again.
    suppressions.allow(empty, "C10", SMS)
    interactions.add_interactions(empty, rows, unfiled_receipts)
    assert preferences.unreachable(empty, SMS, ["C10"]) == {}


def fire(scope: Scope, customer: str, state: str, outcome: str = "", message: str = "", **more: object) -> None:
    """A firing of the triggered campaign, with a message on SMS in a state, if it has come to that."""
    person = f"v:{customer}" if more.get("is_visitor") else customer.lower()
    given = {"campaign_id": TRIGGERED, "event_key": uuid.uuid4().hex, **more}
    with scope.records() as session:
        firing = Firing(
            tenant_id=scope.tenant_id, series_id=TRIGGERED, person=person, customer_id=customer, recipient_group_id=1,
            state=state, outcome=outcome, fired_at=NOW, **given,
        )  # fmt: skip
        session.add(firing)
        session.flush()
        if message:
            place = {"channel_id": SMS, "template_id": 11, "action_id": 12, "message_id": given["event_key"]}
            session.add(
                OutboxMessage(
                    tenant_id=scope.tenant_id, source="firing", source_id=firing.id, customer_id=customer,
                    recipient_group_id=1, state=message, **place,
                )
            )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "outcome", "message"),
    [("done", "sent", "sent"), ("sending", "", "sent"), ("sending", "", "pending"), ("sending", "", "claimed")],
)
def test_a_recipient_whose_firing_is_not_filed_yet_is_counted(
    empty: Scope, state: str, outcome: str, message: str
) -> None:
    who = f"Just-now-{state}-{message}"
    fire(empty, who, state, outcome, message)
    rows = [of(who.lower(), campaign=TRIGGERED), of(who.upper(), campaign=TRIGGERED)]
    assert interactions.add_interactions(empty, rows, unfiled_receipts) == 1
    assert interactions.add_interactions(empty, rows[1:], unfiled_receipts) == 0
    assert [one[:6] for one in stored(empty, TRIGGERED)] == [(who, SMS, 11, 1, 12, 3)]


@pytest.mark.parametrize(
    ("who", "firing"),
    [
        ("nobody", None),
        ("Asked", {"state": "asking"}),
        ("Delayed", {"state": "delayed"}),
        ("Refused", {"state": "done", "outcome": "excluded", "reason": "gateway: not allowed"}),
        ("Held", {"state": "done", "outcome": "control"}),
        ("Gone", {"state": "done", "outcome": "suppressed", "message": "suppressed"}),
        ("Gone-here", {"state": "done", "outcome": "sent", "message": "suppressed"}),
        ("Failed", {"state": "done", "outcome": "failed", "message": "failed"}),
        ("Elsewhere", {"state": "done", "outcome": "sent", "message": "sent", "campaign_id": AB}),
        ("visitor-7", {"state": "done", "outcome": "sent", "message": "sent", "is_visitor": True}),
        # What is filed is told by the warehouse alone, which does not know this one.
        ("Erased", {"state": "filed", "outcome": "sent", "message": "sent"}),
    ],
)
def test_whoever_got_nothing_of_a_triggered_campaign_is_passed_over(
    empty: Scope, who: str, firing: dict[str, Any] | None
) -> None:
    if firing is not None:
        fire(empty, who, **firing)
    assert (
        interactions.add_interactions(
            empty, [of(who, campaign=TRIGGERED), of(f"v:{who}", campaign=TRIGGERED)], unfiled_receipts
        )
        == 0
    )
    assert stored(empty, TRIGGERED) == []
    with empty.records() as session:
        mine = select(AuditEntry).where(AuditEntry.tenant_id == empty.tenant_id, AuditEntry.action == "interactions")
        last = session.scalars(mine.order_by(AuditEntry.id.desc()).limit(1)).one()
    assert (last.object, last.details) == (f"campaign {TRIGGERED}", {"new": 0, "not_recipients": 2})


def test_a_firing_on_another_channel_is_none_on_this(empty: Scope) -> None:
    fire(empty, "By-text", "done", "sent", "sent")
    with empty.records() as session:
        session.add(_on_push(empty))
    rows = [of("by-text", campaign=TRIGGERED, channel=PUSH, template_id=40), of("by-text", campaign=TRIGGERED)]
    assert interactions.add_interactions(empty, rows, unfiled_receipts) == 1
    assert [one[:2] for one in stored(empty, TRIGGERED)] == [("By-text", SMS)]


def _on_push(scope: Scope) -> OccurrenceChannel:
    return OccurrenceChannel(
        tenant_id=scope.tenant_id, campaign_id=TRIGGERED, recipient_group_id=1, channel_id=PUSH, template_id=40,
        action_id=12, scheduled_time=datetime(2026, 3, 10, 9),
    )  # fmt: skip


@pytest.mark.parametrize(("campaign", "first"), [(AB, date(2026, 3, 9)), (EARLY, date(2026, 3, 3))])
def test_nobody_does_anything_with_a_campaign_before_it(empty: Scope, campaign: int, first: date) -> None:
    last = date(2026, 3, 13)  # tomorrow: calendars may be a day off
    said = f"InteractionDate must be a day from {first} to {last} for campaign {campaign}, not "
    for day, wrong in ((first, -1), (last, 1)):
        begin = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        assert interactions.add_interactions(empty, [of("C00", campaign=campaign, at=begin)], unfiled_receipts) == 1
        beyond = begin + timedelta(days=wrong)
        with pytest.raises(Invalid, match=f"^{said}{beyond.date()}\\.$"):
            interactions.add_interactions(
                empty, [of("C02", campaign=campaign), of("C00", campaign=campaign, at=beyond)], unfiled_receipts
            )
    assert [one[6] for one in stored(empty, campaign)] == [str(first), str(last)]


REPORTS = st.lists(
    st.tuples(
        st.sampled_from([*MEMBERS[:4], "c00", "zoë-1", CONTROL[0], "nobody"]),
        st.sampled_from([2, 3, 5]),
        st.sampled_from([AB, EARLY]),
        st.integers(-2, 1),
    ),
    min_size=1,
    max_size=12,
)


def expected_of(reports: list[tuple[str, int, int, int]]) -> set[tuple[str, int, int, int]]:
    """What must be there of reports: recipients only, each once, by the known spelling."""
    spelled = {who.lower(): who for who in MEMBERS}
    members = {AB: set(MEMBERS), EARLY: set(MEMBERS[:5])}
    named = {(spelled.get(who.lower(), who), event, campaign, day) for who, event, campaign, day in reports}
    return {one for one in named if one[0] in members[one[2]]}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reports=REPORTS, data=st.data())
def test_any_order_and_repetition_comes_to_the_same(
    empty: Scope, reports: list[tuple[str, int, int, int]], data: st.DataObject
) -> None:
    empty.warehouse.execute("TRUNCATE TABLE campaign_interactions")
    told = data.draw(st.permutations([*reports, *data.draw(st.lists(st.sampled_from(reports), max_size=6))]))
    cut = data.draw(st.integers(0, len(told)))
    written = 0
    for part in (told[:cut], told[cut:]):
        rows = [
            of(who, event, campaign, template_id=11, at=NOW + timedelta(days=day)) for who, event, campaign, day in part
        ]
        written += interactions.add_interactions(empty, rows, unfiled_receipts)
    wanted = expected_of(reports)
    found = [
        (row[0], row[5], campaign, (date.fromisoformat(row[6]) - NOW.date()).days)
        for campaign in (AB, EARLY)
        for row in stored(empty, campaign)
    ]
    assert sorted(found) == sorted(wanted) and written == len(wanted)


def test_two_reporters_at_once_write_each_row_once(empty: Scope) -> None:
    everything = [of(who, event, at=NOW + timedelta(days=day)) for who in MEMBERS for event in (2, 3) for day in (0, 1)]

    def reporter(seed: int) -> int:
        mine = random.Random(seed).sample(everything, len(everything))
        return sum(
            interactions.add_interactions(empty, mine[start : start + 11], unfiled_receipts)
            for start in range(0, len(mine), 11)
        )

    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(reporter, range(4)))
    assert sum(written) == len(everything)
    wanted = [row(who, event, (NOW + timedelta(days=d)).date()) for who in MEMBERS for event in (2, 3) for d in (0, 1)]
    assert stored(empty, AB) == sorted(wanted)


def test_nothing_reported_is_nothing_written(empty: Scope) -> None:
    assert interactions.add_interactions(empty, [], unfiled_receipts) == 0
    assert stored(empty, AB) == []
