"""Persons who are erased or anonymised, in the accounts of campaigns and in the files for senders.

The accounts must add up, also those of campaigns that were run long ago. So a row stays, under a name
made of the person's pseudonym, and what had not been sent to the person counts as skipped.
"""

# ruff: noqa: S608 - statements are put together of constants and names of tables and columns

import uuid
from typing import Any

from sqlalchemy import select

from rapport.access.pseudonyms import PSEUDONYM, pseudonym, pseudonym_secret
from rapport.access.scope import Scope, current_scope
from rapport.campaigns.delivery import handing_over
from rapport.campaigns.delivery.engagements import write_again
from rapport.campaigns.measurement.interactions import no_reports
from rapport.campaigns.models import Cycle, Occurrence, OccurrenceChannel
from rapport.campaigns.runs.clearance_deadline import none_decided
from rapport.campaigns.states import CycleState, RunState
from rapport.conditions.outcomes import Outcome
from rapport.customers.privacy import anonymisation, hidden_rows, persons
from rapport.customers.writes import locks
from rapport.delivery import reading
from rapport.stores.warehouse import identifier
from rapport.stores.workflows import work

ACCOUNTS = (
    "campaign_recipients",
    "campaign_outcomes",
    "campaign_interactions",
    "campaign_products",
    "campaign_clearances",
    "campaign_rewards",
    "campaign_codes",
)
ATTEMPTS = 3
ERASED = "customer_id IN (SELECT customer_id FROM erase_ids)"
ALIAS_BEGIN, ALIAS_DIGITS = "erased-", 32
ALIAS = f"concat('{ALIAS_BEGIN}', substring({PSEUDONYM}, 1, {ALIAS_DIGITS}))"
NAMES = "CREATE TABLE erase_names (customer_id String, alias String) ENGINE = MergeTree ORDER BY customer_id"
FILL_NAMES = f"INSERT INTO erase_names SELECT customer_id, {ALIAS} FROM (SELECT DISTINCT customer_id FROM erase_ids)"
SKIP = f"""
    INSERT INTO campaign_outcomes (* EXCEPT (firing_id, drawn_group, written_at))
    SELECT execution_date, campaign_id, customer_id, channel_id, '{Outcome.SKIPPED}', 'erased', '', 0,
        {{at:DateTime64(3, 'UTC')}}
    FROM campaign_recipients
    WHERE {ERASED} AND channel_id > 0
        AND (execution_date, campaign_id, customer_id, channel_id) NOT IN (
            SELECT execution_date, campaign_id, customer_id, channel_id FROM campaign_outcomes WHERE {ERASED}
        )
"""
PLACES = f"""
    SELECT DISTINCT campaign_id, channel_id, recipient_group_id FROM campaign_recipients
    WHERE {ERASED} AND channel_id > 0
"""
# Rows that are there already come from a step that was killed before it deleted theirs. When they were written is not
# among the columns: under the other name they are new to whoever takes what came since.
RENAME = """
    INSERT INTO {table} ({columns})
    SELECT {renamed} FROM {table} AS old INNER JOIN erase_names AS names ON names.customer_id = old.customer_id
    EXCEPT ALL
    SELECT {columns} FROM {table} WHERE customer_id IN (SELECT alias FROM erase_names)
"""
RENAMED = {"customer_id": "names.alias", "message_id": "''"}


def alias(scope: Scope, customer_id: str) -> str:
    """By what name an erased person stands in the accounts: ALIAS in Python."""
    return f"{ALIAS_BEGIN}{pseudonym(scope, customer_id)[:ALIAS_DIGITS]}"


def renew_files(scope: Scope) -> None:
    """Have kept files for senders written anew that hold persons whose identifying data was removed."""
    work.enqueue(work.Queue.ERASURES, f"files-{uuid.uuid4()}", renew, scope.tenant_id)


@work.workflow("campaigns.renew_files")
def renew(tenant_id: int) -> None:
    """Write the files anew, in which what identifies those persons is empty then."""
    _renew(tenant_id)


@work.step("campaigns.renew", ATTEMPTS)
def _renew(tenant_id: int) -> None:
    scope = current_scope(tenant_id)
    with locks.writing(scope):
        anonymisation.stage_known(scope, anonymisation.removed_pseudonyms(scope), ["campaign_recipients"])
        places = _places(scope)
        scope.warehouse.execute("DROP TABLE erase_ids SYNC")
    write_again(scope, places)


def _places(scope: Scope) -> set[tuple[int, int, int]]:
    """Campaign, channel and recipient group of what the staged persons were to get."""
    return {(int(campaign), int(channel), int(group)) for campaign, channel, group in scope.warehouse.rows(PLACES)}


def is_busy(scope: Scope) -> bool:
    """Whether a day is processed or anything is handed over or sent."""
    tenant_id = scope.tenant_id
    queries: tuple[Any, ...] = (
        select(Cycle.run).where(Cycle.tenant_id == tenant_id, Cycle.state == CycleState.RUNNING),
        select(Occurrence.id).where(Occurrence.tenant_id == tenant_id, Occurrence.state == RunState.PROCESSING),
        handing_over.to_hand_over(tenant_id),
        select(OccurrenceChannel.campaign_id).where(
            OccurrenceChannel.tenant_id == tenant_id,
            OccurrenceChannel.state == RunState.EXECUTING,
            OccurrenceChannel.waits_until.is_(None),  # nothing is sent between two rounds, which may be for hours
            OccurrenceChannel.campaign_id.not_in(_triggered(tenant_id)),
        ),
    )
    with scope.records() as session:
        return any(session.execute(query.limit(1)).first() for query in queries)


def _triggered(tenant_id: int) -> Any:
    """The campaigns of triggers, which are executing for the whole of their day."""
    return select(Occurrence.id).where(Occurrence.tenant_id == tenant_id, Occurrence.is_triggered)


def clear_accounts(scope: Scope, mark: str) -> None:
    """Rename an erased person, by pseudonym, in the accounts, and write kept files anew that had the person.

    Steps of ended sends kept the ids at which their batches end: dropped, too. May be repeated.
    """
    with locks.writing(scope), no_reports(scope), none_decided(scope):
        anonymisation.stage_known(scope, [mark], ACCOUNTS)
        places = _places(scope)
        _rename(scope)
        _forget_sends(scope)
        scope.warehouse.execute("DROP TABLE erase_ids SYNC")
    write_again(scope, places)
    for table in ACCOUNTS:
        hidden_rows.leave_disk(scope, table)
    work.forget_results(scope.stores.records, f"send:{scope.tenant_id}:")


def _rename(scope: Scope) -> None:
    warehouse = scope.warehouse
    warehouse.execute("DROP TABLE IF EXISTS erase_names SYNC")
    warehouse.execute(NAMES)
    warehouse.execute(FILL_NAMES, pseudonym_secret=pseudonym_secret(scope))
    warehouse.execute(SKIP, at=scope.clock.now())
    for table in ACCOUNTS:
        columns = [name for name in warehouse.columns(table) if name != "written_at"]
        renamed = ", ".join(RENAMED.get(name, f"old.{identifier(name)}") for name in columns)
        listed = ", ".join(identifier(name) for name in columns)
        warehouse.execute(RENAME.format(table=table, columns=listed, renamed=renamed))
        persons.delete_staged(scope, table)
    warehouse.execute("DROP TABLE erase_names SYNC")


def _forget_sends(scope: Scope) -> None:
    erased_ids = [customer_id for (customer_id,) in scope.warehouse.rows("SELECT DISTINCT customer_id FROM erase_ids")]
    with scope.records() as session:
        reading.forget_customers(scope, session, erased_ids)
