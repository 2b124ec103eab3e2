"""Run by the tests of imports: carries out what standard input says, on a data folder, and stops where it is told to.

A line is {"kind", "path", "stop"}: a file to load, or with kind retype an attribute that is to hold whole numbers, and
the step before which it waits for the next line. That may be {"write": [customer, attribute, value]}: it is then
written by another thread, and told whether that came in. With {"elsewhere": ...} it is written as by another process,
which finds the lock free.
"""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.commands import logs
from rapport.customers import attributes as customer_attributes
from rapport.customers import retyping
from rapport.customers.importing import imports, merging
from rapport.customers.importing import imports as customer_imports
from rapport.customers.writes import attribute_requests, attribute_writes, locks
from rapport.settings import Settings
from rapport.stores import open_stores
from rapport.stores.records import locks as advisory
from rapport.stores.records.locks import Lock
from rapport.stores.workflows import work

MERGED, EXCHANGED, LOOKED = "merged", "exchanged", "looked"


def told() -> Any:
    return json.loads(sys.stdin.readline())


def tell(**what: object) -> None:
    print(json.dumps(what), flush=True)


def elsewhere(scope: Scope, customer_id: str, name: str, value: str) -> None:
    """Take the lock as another process does, and write."""
    with locks._connected(scope) as connection:
        assert advisory.take_if_free(connection, Lock.CUSTOMER_WRITES, scope.tenant_id)
        locks.drop_noted(scope, connection)
        attribute_writes.upsert_customer(scope, customer_id, [[name, value]])
        advisory.release(connection, Lock.CUSTOMER_WRITES, scope.tenant_id)


def main(data_dir: Path) -> None:
    logs.configure("WARNING")
    work.FIRST_PAUSE = work.LONGEST_PAUSE = 0.2
    stores = open_stores(Settings(data_dir=data_dir))
    scope = create_tenant(stores, "Outages")
    stop: list[object] = [None]
    writers: list[threading.Thread] = []

    def pause(step: object) -> None:
        if step == stop[0]:
            stop[0] = None
            tell(step=step)
            said = told()
            if said.get("elsewhere"):
                work.waiting(elsewhere, "elsewhere")(scope, *said["elsewhere"])
            if write := said.get("write"):
                customer_id, name, value = write
                writers.append(
                    threading.Thread(target=attribute_requests.upsert, args=(scope, customer_id, [[name, value]], None))
                )
                writers[0].start()
                writers[0].join(1)  # one that does not wait has ended
                tell(written=not writers[0].is_alive())

    merge = merging.merge

    def merged(*arguments: Any, **flags: Any) -> merging.Counts:
        counts = merge(*arguments, **flags)
        pause(MERGED)
        return counts

    replacing = locks.replacing

    @contextmanager
    def replaced(*arguments: Any) -> Iterator[None]:
        with replacing(*arguments):
            pause(LOOKED)
            yield

    save = retyping.save

    def saved(*arguments: Any) -> None:
        pause(EXCHANGED)
        save(*arguments)

    imports.merging.merge = merged  # type: ignore[attr-defined]
    imports.locks.replacing = replaced  # type: ignore[attr-defined]
    retyping.save = saved  # type: ignore[attr-defined]
    tell(ready=True)
    while asked := told():
        stop[0] = asked["stop"]
        if asked["kind"] == "retype":
            retyping.retype(scope, asked["path"], "Int")
            attributes = work.waiting(customer_attributes.attributes, "look")(scope)
            tell(told=attributes[asked["path"]].field_type, stored=scope.warehouse.columns("customers")[asked["path"]])
            continue
        result = customer_imports.import_file(
            scope, asked["kind"], Path(asked["path"]), progress=lambda done, _: pause(done)
        )
        for writer in writers:
            writer.join()
        row = work.waiting(customer_imports.import_of, "look")(scope, result.import_id)
        sums = scope.warehouse.row("SELECT count(), uniqExact(transaction_id), sum(amount) FROM transactions")
        people = scope.warehouse.rows("SELECT customer_id, EMAIL FROM customers ORDER BY 1")
        states = [one.state for one in customer_imports.imports(scope)]
        tell(state=row.state, counts=row.counts, message=row.message, sums=sums, people=people, states=states)
    stores.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
