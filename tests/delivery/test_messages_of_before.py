"""An upgrade in the middle of a run and of firings: each message is there once, as it stood, under its id."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import make_url, text

from rapport.access.scope import Scope
from rapport.delivery import outbox, reading
from rapport.delivery.models import OutboxMessage, Source, State
from rapport.delivery.outbox import Entry, Mailing, Settled
from rapport.stores import Stores, migrations
from rapport.stores.records import Records

NOW = datetime(2026, 3, 10, 8, tzinfo=UTC)
# State and attempts before; state, attempts and claims after.
OF_RUNS = {
    "claimed": ("claimed", 1, "claimed", 1, 2),
    "retry": ("retry", 2, "pending", 2, 2),
    **{state: (state, 1, state, 1, 1) for state in ("sent", "failed", "suppressed", "skipped")},
}
OF_FIRINGS = {
    "pending": ("pending", 0, "pending", 0, 0),
    "refused": ("pending", 2, "pending", 2, 2),
    "claimed": ("claimed", 3, "claimed", 2, 3),
    **{state: (state, 1, state, 1, 1) for state in ("sent", "failed", "suppressed", "skipped", "no address")},
}
PLACE = """
    INSERT INTO campaign_channels (tenant_id, campaign_id, recipient_group_id, channel_id, template_id, action_id,
        promo_code, scheduled_time, send_id, recipients, state, error)
    VALUES (1, 7, 2, 504, 11, 12, 'A,B', '2026-03-10 09:00', '', 6, 'executing', '')
"""
SEND = """
    INSERT INTO campaign_sends (tenant_id, campaign_id, channel_id, customer_id, recipient_group_id, message_id, batch,
        state, reason, attempts)
    VALUES (1, 7, 504, :who, 2, 'run-' || :who, 2000001, :state, 'r', :attempts)
"""
FIRING = """
    INSERT INTO trigger_firings (id, tenant_id, series_id, campaign_id, event_key, person, customer_id, is_visitor,
        parameters, recipient_group_id, state, outcome, reason, fired_at)
    VALUES (:id, 1, 1, 8, :who, :who, :who, :visitor, '{}', 3, 'sending', '', '', :now)
"""
MESSAGE = """
    INSERT INTO firing_messages (tenant_id, firing_id, channel_id, template_id, action_id, promo_code, message_id,
        state, reason, attempts, due_at)
    VALUES (1, :id, 504, 21, 22, 'C', 'firing-' || :who, :state, 'r', :attempts, :due)
"""


def fill(records: Records) -> None:
    """Messages of both kinds in every state, and those of a visitor and of a firing that is gone."""
    with records.session() as session:
        session.execute(text(PLACE))
        for who, (state, attempts, *_) in OF_RUNS.items():
            session.execute(text(SEND), {"who": who, "state": state, "attempts": attempts})
        for number, (who, (state, attempts, *_)) in enumerate(OF_FIRINGS.items(), start=1):
            bound = {"id": number, "who": who, "visitor": False, "state": state, "attempts": attempts, "now": NOW}
            session.execute(text(FIRING), bound)
            session.execute(text(MESSAGE), {**bound, "due": NOW if who in ("refused", "claimed") else None})
        visitor = {"id": 101, "who": "visitor", "visitor": True, "now": NOW}
        session.execute(text(FIRING), visitor)
        for number, who in ((101, "visitor"), (102, "gone")):
            session.execute(text(MESSAGE), {"id": number, "who": who, "state": "sent", "attempts": 0, "due": None})


@pytest.fixture(scope="module")
def migrated(stores: Stores) -> Iterator[Records]:
    with stores.records.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE messages_of_before"))
    url = make_url(stores.records.url).set(database="messages_of_before")
    older = Records(url.render_as_string(hide_password=False))
    migrations.migrate_records(older, "0043")
    fill(older)
    migrations.migrate_records(older)
    yield older
    older.close()


def test_each_message_is_there_as_it_stood(migrated: Records) -> None:
    with migrated.session() as session:
        rows = session.query(OutboxMessage).order_by(OutboxMessage.id).all()
        told = {(row.source, row.customer_id): row for row in rows if row.customer_id}
    assert len(rows) == len(OF_RUNS) + len(OF_FIRINGS) + 2
    for source, before in (("run", OF_RUNS), ("firing", OF_FIRINGS)):
        for who, (*_, state, attempts, claims) in before.items():
            row = told[source, who]
            assert (row.state, row.attempts, row.claims, row.reason) == (state, attempts, claims, "r")
            assert row.message_id == f"{source}-{who}"
    run, fired = told["run", "sent"], told["firing", "sent"]
    assert (run.source_id, run.recipient_group_id, run.batch, run.due_at) == (7, 2, 2000001, None)
    assert (run.template_id, run.action_id, run.promo_code) == (11, 12, "A,B")
    assert (fired.recipient_group_id, fired.batch) == (3, None)
    assert (fired.template_id, fired.action_id, fired.promo_code) == (21, 22, "C")
    assert told["firing", "claimed"].due_at == NOW
    of_nobody = {row.source_id: row.message_id for row in rows if not row.customer_id}
    assert of_nobody == {101: "firing-visitor", 102: "firing-gone"}
    firings = [row.source_id for row in rows if row.source == "firing"]
    assert firings == sorted(firings)


def test_the_step_of_a_batch_goes_on_with_what_is_in_doubt(migrated: Records, stores: Stores) -> None:
    scope = Scope(stores, 1, ZoneInfo("UTC"), "EUR", {})
    mailing = Mailing(1, Source.RUN, 7, 504, 2)
    with migrated.session() as session:
        entries = [Entry(7, 504, who, 2, 11, 12, "A,B") for who in (*OF_RUNS, "new")]
        claims = {claim.customer_id: claim for claim in outbox.enter(scope, session, Source.RUN, entries, 2000001)}
        assert {who: claim.claims for who, claim in claims.items()} == {"claimed": 3, "new": 1}
        assert claims["claimed"].message_id == "run-claimed" != claims["new"].message_id
        (again,) = outbox.claim_retries(session, mailing, 2900001, 2, 10, NOW)
        assert (again.message_id, again.attempts, again.claims) == ("run-retry", 2, 3)
        outbox.settle(scope, session, [Settled(claim, State.SENT) for claim in (*claims.values(), again)])
        assert {who for who, *_ in reading.ended(session, mailing, 2000001)} == {*OF_RUNS, "new"} - {"retry"}
        session.rollback()


def test_firings_leave_once_their_time_has_come(migrated: Records) -> None:
    with migrated.session() as session:
        early = outbox.claim_due(session, Source.FIRING, 100, 100, {}, NOW - timedelta(seconds=1), NOW)
        assert [claim.message_id for claim in early] == ["firing-pending"]
        due = outbox.claim_due(session, Source.FIRING, 100, 100, {}, NOW, NOW + timedelta(seconds=30))
        assert sorted(claim.message_id for claim in due) == ["firing-claimed", "firing-pending", "firing-refused"]
        session.rollback()
