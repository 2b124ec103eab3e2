"""Inserts that do not wait for the disk, of work that is begun again from nothing when it is interrupted."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from rapport.stores.warehouse import Database, identifier

SYNCED = """
    SELECT name FROM system.tables
    WHERE database = currentDatabase() AND position(create_table_query, 'fsync_after_insert') > 0
"""
SETTING = "ALTER TABLE {table} MODIFY SETTING fsync_after_insert = {waits}, fsync_part_directory = {waits}"


@contextmanager
def unsynced(database: Database) -> Iterator[None]:
    """Spare the inserts of a database their wait for the disk; when the block ends all of it is there.

    That wait is most of the time of a small insert. A machine that loses its power meanwhile may lose rows. A server by
    URL is its operator's, and waits as ever.
    """
    if not database.embedded:
        yield
        return
    _wait(database, False)
    try:
        yield
    finally:
        _wait(database, True)
        os.sync()


def _wait(database: Database, waits: bool) -> None:
    for (table,) in database.rows(SYNCED):
        database.execute(SETTING.format(table=identifier(table), waits=int(waits)))
