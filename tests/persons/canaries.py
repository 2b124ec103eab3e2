"""Words planted in a person's record, looked for in everything that is kept."""

import subprocess
import time
from pathlib import Path

from sqlalchemy import text

from rapport.access.scope import Scope

# Machines differ: what must become so is waited for, this long at most.
WORKING = ("erase_", "import_", "write_")
BOUND = 180.0
COLUMNS = "SELECT table, name FROM system.columns WHERE database = {d:String} AND match(type, 'String') ORDER BY 1, 2"
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"


def in_warehouse(scope: Scope, words: list[str]) -> list[str]:
    """table.column of the tenant's warehouse where a word is, in any case, and working tables, which end."""
    found = []
    for table, column in scope.warehouse.rows(COLUMNS, d=scope.warehouse.name):
        if table.startswith(WORKING):
            found.append(table)
            continue
        value = f"concat('', ifNull(toString(`{column}`), ''))"
        sql = f"SELECT count() FROM `{table}` WHERE multiSearchAnyCaseInsensitiveUTF8({value}, {{w:Array(String)}})"
        if scope.warehouse.value(sql, w=words):
            found.append(f"{table}.{column}")
    return found


def in_records(scope: Scope, words: list[str]) -> list[str]:
    """Tables of the records of which a row has a word, in any case."""
    with scope.records() as session:
        tables = list(session.scalars(text(TABLES)))
        pattern = {"words": [f"%{word}%" for word in words]}
        sql = 'SELECT count(*) FROM "{}" AS t WHERE CAST(t AS text) ILIKE ANY(CAST(:words AS text[]))'
        return [table for table in tables if session.scalar(text(sql.format(table)), pattern)]


def in_files(folder: Path, words: list[str]) -> list[str]:
    """Files below a folder that have a word in their bytes."""
    patterns = [part for word in words for part in ("-e", word)]
    command = ["grep", "-rlaiF", *patterns, str(folder)]
    return subprocess.run(command, capture_output=True, text=True).stdout.split()


def uncompressed(scope: Scope, tables: list[str]) -> None:
    """Have texts of tables written as they are, so that a search of bytes finds them."""
    for table in tables:
        kinds = scope.warehouse.columns(table).items()
        changes = [f"MODIFY COLUMN `{name}` {kind} CODEC(NONE)" for name, kind in kinds if "String" in kind]
        scope.warehouse.execute(f"ALTER TABLE {table} {', '.join(changes)}")


def wait_until_gone(scope: Scope, words: list[str], folders: list[Path]) -> None:
    """Wait until no word is left in either engine or below the folders."""
    deadline = time.monotonic() + BOUND
    while True:
        left = [*in_warehouse(scope, words), *in_records(scope, words)]
        left += [file for folder in folders for file in in_files(folder, words)]
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert left == [], left
