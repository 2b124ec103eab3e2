"""What a full load would take away, counted before anything changes: a file that was cut off must not empty a table."""

from dataclasses import dataclass

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.customers.importing.column_plans import Plan
from rapport.customers.importing.merging import matching, passes_over_keys
from rapport.customers.importing.staging import Stage
from rapport.customers.settings import FileSettings

# Events that came in real time stay whatever a file brings.
FROM_FILES = {"activity": "origin = 'file'"}


@dataclass(frozen=True)
class Removal:
    """How many rows that files may replace are stored, and how many of them a full load does not bring again."""

    stored: int
    removed: int

    def asks(self, share: float) -> bool:
        """Whether somebody must confirm it: all would go, or more than a share from 0 to 1."""
        return self.removed > 0 and (self.removed == self.stored or self.removed > share * self.stored)


def removal(stage: Stage, plan: Plan, rows: int) -> Removal:
    """What a full load of so many rows would remove, found by hashes of keys in passes of bounded size."""
    brought = FROM_FILES.get(plan.kind.name, "1")
    passes = passes_over_keys(stage, rows)
    stored = stage.warehouse.value(f"SELECT count() FROM {plan.kind.table} WHERE {brought}")  # noqa: S608 - our table
    counts_sql = [matching(stage, plan, passes, number, brought) for number in range(passes if stored else 0)]
    replaced = sum(int(stage.warehouse.value(sql)) for sql in counts_sql)
    return Removal(int(stored), int(stored) - replaced)


def question(scope: Scope, stage: Stage, plan: Plan, rows: int) -> str:
    """The sentence that asks for confirmation of a full load; empty when it may go on."""
    share = tenant_settings(scope, FileSettings).removal_share
    loss = removal(stage, plan, rows)
    if not loss.asks(share):
        return ""
    return (
        f"The file would remove {loss.removed:,} of {loss.stored:,} {plan.kind.name}; more than {share:.0%} must be "
        "confirmed. Nothing was changed: load it again with --confirm-removal (confirm_removal) if it is meant."
    )
