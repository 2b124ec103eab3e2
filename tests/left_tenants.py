"""What modules leave behind: each tenant would be looked at, backed up and restored in every later test."""

from collections.abc import Generator
from contextlib import suppress

import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from rapport.access.scope import database_name
from rapport.access.service import tenants
from rapport.stores import Stores
from rapport.stores.migrations import tenant_databases

OPENED = pytest.StashKey[Stores]()
TABLES = text("""
    SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'tenant_id'
""")


class Removal:
    """Removes them at the end of each module, but for those that fixtures of a whole run have made.

    A plugin of its own, since what sets up a fixture of a whole run does not ask the conftest of a folder.
    """

    def __init__(self) -> None:
        self.lasting: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        if fixturedef.scope != "session":
            return (yield)
        before = _present(request.config)
        made = yield
        self.lasting |= _present(request.config) - before
        return made

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        done = yield
        if OPENED in item.config.stash and nextitem is not None and nextitem.path != item.path:
            stores = item.config.stash[OPENED]
            stores.clock.set(None)  # a module that lets it be another time leaves that to nobody
            _remove(stores, self.lasting)
        return done


def _present(config: pytest.Config) -> set[str]:
    """The databases of all tenants, where engines are open."""
    return _databases(config.stash[OPENED]) if OPENED in config.stash else set()


def _databases(stores: Stores) -> set[str]:
    return {database.name for database in tenant_databases(stores.warehouse)}


def _remove(stores: Stores, lasting: set[str]) -> None:
    """Remove all tenants but those of some databases; what something still works on is left until the next time."""
    left = [one.id for one in tenants(stores) if database_name(one.id) not in lasting]
    with suppress(OperationalError):
        with stores.records.session() as session:
            session.execute(text("SET LOCAL lock_timeout = '10s'"))
            for (table,) in session.execute(TABLES).all():
                session.execute(text(f"DELETE FROM {table} WHERE tenant_id = ANY(:left)"), {"left": left})
            session.execute(text("DELETE FROM tenants WHERE id = ANY(:left)"), {"left": left})
        for name in _databases(stores) - lasting:
            with suppress(ClickHouseError):
                stores.warehouse.drop_database(name)
