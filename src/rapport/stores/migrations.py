"""Migrations: Alembic for the records, ordered SQL files for each tenant's warehouse database."""

import re
from importlib import resources
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from rapport.errors import Unavailable
from rapport.stores.records import Records
from rapport.stores.warehouse import Database

HISTORY = """
    CREATE TABLE IF NOT EXISTS schema_history (version UInt32, name String, applied_at DateTime DEFAULT now())
    ENGINE = MergeTree ORDER BY version
"""


def _alembic(records: Records) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "records_migrations"))
    config.attributes["engine"] = records.engine
    return config


def records_revision(records: Records) -> str | None:
    """The revision that the records database stands at; None when it is empty."""
    with records.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def migrate_records(records: Records) -> None:
    """Bring the records to the newest revision. Raises Unavailable when they are newer than this Rapport."""
    config = _alembic(records)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    current = records_revision(records)
    if current is not None and current not in known:
        raise Unavailable("The records were written by a newer Rapport: upgrade this one.")
    command.upgrade(config, "head")


def warehouse_migrations() -> list[tuple[int, str, str]]:
    """Version, name and SQL text of every warehouse migration, oldest first."""
    folder = resources.files("rapport.stores") / "warehouse_migrations"
    found = []
    for file in folder.iterdir():
        if match := re.fullmatch(r"(\d{4})_(\w+)\.sql", file.name):
            found.append((int(match[1]), match[2], file.read_text()))
    return sorted(found)


def statements(script: str) -> list[str]:
    """The statements of a migration: separated by a semicolon at a line's end."""
    bare = re.sub(r"^\s*--.*$", "", script, flags=re.MULTILINE)
    return [part.strip() for part in re.split(r";\s*$", bare, flags=re.MULTILINE) if part.strip()]


def migrate_warehouse(database: Database) -> None:
    """Bring a tenant's database to the newest version; every migration can be run again after a crash."""
    database.execute(HISTORY)
    done = {version for (version,) in database.rows("SELECT version FROM schema_history")}
    migrations = warehouse_migrations()
    if done and max(done) > migrations[-1][0]:
        raise Unavailable("The warehouse was written by a newer Rapport: upgrade this one.")
    for version, name, script in migrations:
        if version not in done:
            for statement in statements(script):
                database.execute(statement)
            database.insert("schema_history", ["version", "name"], [(version, name)])
