"""Migrations: Alembic for the records, ordered SQL files for each tenant's warehouse database."""

import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from rapport.errors import Unavailable
from rapport.stores.progress import with_progress
from rapport.stores.records import Records, locks
from rapport.stores.records.connecting import LOCK_SECONDS, statements_within, unhurried
from rapport.stores.records.locks import Lock
from rapport.stores.warehouse import Database, Warehouse

# Alembic takes a tenth of the time of a start to load, and is needed by those starts only that change a schema.
if TYPE_CHECKING:
    from alembic.config import Config

SCRIPTS = Path(__file__).parent / "records_migrations"
TENANT_DATABASE = re.compile(r"rapport_\d+")
# Tenants' databases, and whether their versions are kept yet.
DATABASES = """
    SELECT tenant_database.name, history.name != '' FROM system.databases AS tenant_database
    LEFT JOIN (SELECT database, name FROM system.tables WHERE name = 'schema_history') AS history
        ON history.database = tenant_database.name
    WHERE match(tenant_database.name, '^rapport_[0-9]+$')
"""
VERSIONS = """
    SELECT _database, max(version) FROM merge(REGEXP('^rapport_[0-9]+$'), '^schema_history$') GROUP BY _database
"""
# How the engine tells the tables of a database; unqualified, they can be made in another one.
TABLES = """
    SELECT replaceOne(create_table_query, concat('CREATE TABLE ', database, '.'), 'CREATE TABLE ')
    FROM system.tables WHERE database = {database:String}
"""
HISTORY = """
    CREATE TABLE IF NOT EXISTS schema_history (version UInt32, name String, applied_at DateTime DEFAULT now())
    ENGINE = MergeTree ORDER BY version
"""


def _alembic(records: Records) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.attributes["engine"] = records.engine
    return config


def records_revision(records: Records) -> str | None:
    """The revision that the records database stands at; None when it is empty."""
    with records.reading() as connection:
        if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar_one() is None:
            return None
        revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return revision


def revisions() -> list[str]:
    """Every revision of the records that this Rapport knows, oldest first. A revision is the number of its file."""
    return sorted(file.name[:4] for file in (SCRIPTS / "versions").glob("[0-9]*.py"))


def check_records_revision(revision: str | None) -> None:
    """Raises Unavailable when a revision is newer than this Rapport knows."""
    if revision is not None and revision not in revisions():
        raise Unavailable("The records were written by a newer Rapport: upgrade this one.")


def migrate_records(records: Records, revision: str = "head") -> None:
    """Bring the records to the newest revision, or to one. Raises Unavailable when they are newer than this Rapport."""
    from alembic import command

    check_records_revision(records_revision(records))
    command.upgrade(_alembic(records), revision)


def warehouse_migrations() -> list[tuple[int, str, str]]:
    """Version, name and SQL text of every warehouse migration, oldest first."""
    folder = resources.files("rapport.stores") / "warehouse_migrations"
    migrations = []
    for file in folder.iterdir():
        if match := re.fullmatch(r"(\d{4})_(\w+)\.sql", file.name):
            migrations.append((int(match[1]), match[2], file.read_text()))
    return sorted(migrations)


def statements(script: str) -> list[str]:
    """The statements of a migration: separated by a semicolon at a line's end."""
    bare = re.sub(r"^\s*--.*$", "", script, flags=re.MULTILINE)
    return [part.strip() for part in re.split(r";\s*$", bare, flags=re.MULTILINE) if part.strip()]


def warehouse_version(database: Database) -> int:
    """The version that a tenant's database stands at; 0 before the first migration."""
    if not database.columns("schema_history"):
        return 0
    return int(database.value("SELECT max(version) FROM schema_history"))


def check_warehouse_version(version: int) -> None:
    """Raises Unavailable when a version is newer than this Rapport knows."""
    if version > warehouse_migrations()[-1][0]:
        raise Unavailable("The warehouse was written by a newer Rapport: upgrade this one.")


def migrate_warehouse(database: Database) -> None:
    """Bring a tenant's database to the newest version; every migration can be run again after a crash."""
    database.execute(HISTORY)
    check_warehouse_version(warehouse_version(database))
    done = {version for (version,) in database.rows("SELECT version FROM schema_history")}
    for version, name, script in warehouse_migrations():
        if version not in done:
            for statement in statements(script):
                database.execute(statement)
            database.insert("schema_history", ["version", "name"], [(version, name)])


def make_warehouse(warehouse: Warehouse, name: str) -> Database:
    """A tenant's database at the newest version.

    The migrations make the first of a process. Later ones are made as the engine told that one, which has a third of
    the statements. A database in which there is something, as when its making was broken off, takes the migrations.
    """
    database = warehouse.create_database(name)
    is_empty = not database.rows(TABLES, database=name)
    if is_empty and warehouse.newest_tables:
        for statement in warehouse.newest_tables:
            database.execute(statement)
        applied = [(version, title) for version, title, _ in warehouse_migrations()]
        database.insert("schema_history", ["version", "name"], applied)
        return database
    migrate_warehouse(database)
    if is_empty:
        warehouse.newest_tables = [str(statement) for (statement,) in database.rows(TABLES, database=name)]
    return database


def tenant_databases(warehouse: Warehouse) -> list[Database]:
    """Every tenant's warehouse database that there is."""
    names = warehouse.database("default").rows("SELECT name FROM system.databases ORDER BY name")
    return [warehouse.database(name) for (name,) in names if TENANT_DATABASE.fullmatch(name)]


def warehouse_versions(warehouse: Warehouse) -> list[int]:
    """The versions that all tenants' databases stand at, in two statements however many there are."""
    default = warehouse.database("default")
    kept: dict[str, bool] = dict(default.rows(DATABASES))
    versions: dict[str, int] = dict(default.rows(VERSIONS)) if any(kept.values()) else {}
    return [versions.get(name, 0) for name in kept]


def is_behind(records: Records, warehouse: Warehouse) -> bool:
    """Whether an existing installation has migrations to run. Raises Unavailable when it is newer than this Rapport."""
    revision = records_revision(records)
    check_records_revision(revision)
    versions = warehouse_versions(warehouse)
    for version in versions:
        check_warehouse_version(version)
    if revision is None:
        return False
    return revision != revisions()[-1] or min(versions, default=2**32) < warehouse_migrations()[-1][0]


def migrate(records: Records, warehouse: Warehouse, before: Callable[[], Callable[[], object]] | None = None) -> None:
    """Bring both engines to the newest schema; one process does it, others wait.

    before is called first where there is something to change in an existing installation, and its answer when that is
    done. Raises Unavailable.
    """
    with statements_within(LOCK_SECONDS), records.engine.connect() as connection:
        unhurried(connection)
        locks.take(connection, Lock.MIGRATIONS)
        try:
            after = None
            if is_behind(records, warehouse):
                after = before() if before else None
            elif records_revision(records) is not None:
                return
            migrate_records(records)
            for database in with_progress("warehouses are migrated", tenant_databases(warehouse)):
                migrate_warehouse(database)
            if after:
                after()
        finally:
            locks.release(connection, Lock.MIGRATIONS)
