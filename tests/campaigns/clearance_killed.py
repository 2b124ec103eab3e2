"""Run by test_clearance_killed: decides on the clearance of a run, and dies right after a write when told to.

usage: clearance_killed.py DATA_DIR WRITES   (0: never dies)
"""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clearance_run import DEADLINE, found, on_hold
from sqlalchemy.orm import Session

from rapport.access.scope import Scope, scope_of
from rapport.access.service import create_tenant
from rapport.campaigns.cycle import tasks
from rapport.campaigns.runs import clearance
from rapport.settings import Settings
from rapport.stores import Stores, open_stores
from rapport.stores.records import Records
from rapport.stores.warehouse import Database

CUSTOMERS = [f"K{n:05d}" for n in range(3000)]
CALLS = [
    [(who, True) for who in CUSTOMERS[:1500]],
    [(who.lower(), False) for who in CUSTOMERS[1000:2000]],
    [(who, True) for who in CUSTOMERS[1900:1950]],
]
CONTROL = ["H1", "H2"]
CHANNELS = (504, 505)


def begin(stores: Stores) -> Scope:
    """A tenant with a run whose customers were reported, the moment before its deadline."""
    scope = create_tenant(stores, "Killed", "Europe/Berlin", "EUR")
    scope.clock.set(DEADLINE.replace(minute=0))
    number = on_hold(scope, CUSTOMERS, CONTROL, CHANNELS)
    for call in CALLS:
        clearance.report(scope, number, call)
    return scope


def die_after(writes: int) -> None:
    """Kill this process right after so many statements of the warehouse and transactions of the records."""
    count = 0

    def done(what: str) -> None:
        nonlocal count
        count += 1
        if count == writes:
            print("killed after", what, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    execute, session = Database.execute, Records.session

    def executed(self: Database, sql: str, *args: Any, **bound: Any) -> None:
        execute(self, sql, *args, **bound)
        done(" ".join(sql.split()[:3]))

    @contextmanager
    def committed(self: Records) -> Iterator[Session]:
        with session(self) as held:
            yield held
        done("a transaction")

    Database.execute, Records.session = executed, committed  # type: ignore[method-assign, assignment]


def main(folder: Path, writes: int) -> None:
    began = folder.exists()
    stores = open_stores(Settings(data_dir=folder))
    scope = scope_of(stores, 3001) if began else begin(stores)
    scope.clock.set(DEADLINE)
    if writes:
        die_after(writes)
    tasks._due(scope)
    print(json.dumps(found(scope, 1)), flush=True)
    stores.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
