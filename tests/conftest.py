"""Real engines once a run, a tenant (with a warehouse database of its own) a module, a real server."""

import functools
import gc
import os
import random
import shutil
import socket
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# A random time zone for the process, before an engine reads it: nothing may depend on the machine's.
ZONES = ["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Auckland", "Europe/Berlin", "America/St_Johns"]
os.environ["TZ"] = os.environ.get("RAPPORT_TEST_TZ") or random.choice(ZONES)
time.tzset()

# One thread computes: more wait for each other, beside workers that take all cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Where files are memory, and the bytes that there must be for a run: both engines wait for a disk at each write.
MEMORY, NEEDED_BYTES = Path("/dev/shm"), 3 * 1024**3

# Folders whose tests share something that is made once a run; folders and modules that take longest.
TOGETHER = {"acceptance"}
LONGEST = {
    "acceptance",
    "operations",
    "outages",
    "test_callbacks",
    "test_erasure",
    "test_getting_started",
    "test_import_killed",
    "test_intake_killed",
    "test_mail_through_faults",
    "test_pii",
    "test_rules_agree",
    "test_rules_agree_drawn",
    "test_simulator",
    "test_stored_messages_killed",
    "test_validation",
}

warnings.simplefilter("ignore")

# What is loaded and collected stays: to search it for garbage again and again takes a quarter of the time.
gc.disable()

import httpx  # noqa: E402
import psutil  # noqa: E402
import pytest  # noqa: E402
import structlog  # noqa: E402
from httpx._config import DEFAULT_TIMEOUT_CONFIG  # noqa: E402
from httpx._transports import default  # noqa: E402
from sqlalchemy import text  # noqa: E402
from xdist.remote import Producer  # noqa: E402
from xdist.scheduler import LoadScopeScheduling  # noqa: E402

import left_tenants  # noqa: E402
from rapport.access import keys  # noqa: E402
from rapport.access.scope import Scope  # noqa: E402
from rapport.access.service import create_tenant  # noqa: E402
from rapport.app import create_app  # noqa: E402
from rapport.cli import OBJECTS_MADE  # noqa: E402
from rapport.commands.connections import configured  # noqa: E402
from rapport.settings import Settings  # noqa: E402
from rapport.stores import Stores, open_stores  # noqa: E402
from served_app import running  # noqa: E402

# Calls without a client of their own wait as long as those with one; the machine's certificates are read once, not for
# each call, which takes ten times as long as the call.
DEFAULT_TIMEOUT_CONFIG.connect = DEFAULT_TIMEOUT_CONFIG.read = DEFAULT_TIMEOUT_CONFIG.write = 60.0
default.create_ssl_context = functools.cache(default.create_ssl_context)

# The library shows a traceback with the values of every frame, in colours: one takes seconds.
PLAIN = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], PLAIN])


def pytest_report_header() -> str:
    return f"time zone: {os.environ['TZ']}"


class ByFolderOrModule(LoadScopeScheduling):
    """Workers side by side take whole folders or modules, so that what their tests share is made once."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        folder = module.rpartition("/")[0]
        return folder if folder.rpartition("/")[2] in TOGETHER else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFolderOrModule:
    return ByFolderOrModule(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that none is left to one worker at the end."""
    items.sort(key=lambda item: LONGEST.isdisjoint((item.path.parent.name, item.path.stem)))


def pytest_collection_finish() -> None:
    """What was loaded and collected is there to the end, and never searched for garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_MADE)
    gc.enable()


IN_MEMORY = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(left_tenants.Removal())
    # Workers have the variable from the process that starts them.
    if "TMPDIR" not in os.environ and _takes_programs_and_files(MEMORY):
        made = Path(tempfile.mkdtemp(prefix="rapport-tests-", dir=MEMORY))
        made.chmod(0o755)
        os.environ["TMPDIR"] = tempfile.tempdir = str(made)
        config.stash[IN_MEMORY] = made


def _takes_programs_and_files(folder: Path) -> bool:
    """Whether a folder has room for all files of a run, and memory for them, and programs may be run there."""
    if not os.access(folder, os.W_OK):
        return False
    system = os.statvfs(folder)
    room = min(system.f_bavail * system.f_frsize, psutil.virtual_memory().available // 2)
    return room >= NEEDED_BYTES and not system.f_flag & os.ST_NOEXEC


def pytest_unconfigure(config: pytest.Config) -> None:
    if IN_MEMORY in config.stash:
        shutil.rmtree(config.stash[IN_MEMORY], ignore_errors=True)


# Commits are written but not forced to the disk: they outlive kills of any process, not a loss of power. What is kept
# to recover from is a little more than what must be, since it may be memory.
UNFORCED = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "'256MB'"}


def _without_waiting_for_the_disk(opened: Stores) -> None:
    with opened.records.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for setting, value in UNFORCED.items():
            connection.execute(text(f"ALTER SYSTEM SET {setting} = {value}"))
        connection.execute(text("SELECT pg_reload_conf()"))


@pytest.fixture(scope="session")
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    folder = Path(tempfile.mkdtemp(prefix="rapport-test-"))
    folder.chmod(0o755)
    settings = Settings(data_dir=folder, allow_private_addresses=True, rate_limit_calls=0)
    opened = open_stores(settings)
    _without_waiting_for_the_disk(opened)
    opened.start_work()
    request.config.stash[left_tenants.OPENED] = opened
    yield opened
    del request.config.stash[left_tenants.OPENED]
    opened.close()
    for made in (folder, settings.kept_folder):
        shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def scope(stores: Stores, request: pytest.FixtureRequest) -> Iterator[Scope]:
    """A new tenant for the module."""
    made = create_tenant(stores, f"{request.module.__name__}-{time.time_ns()}", "Europe/Berlin", "EUR")
    yield made
    stores.clock.set(None)


@pytest.fixture(scope="session")
def base_url(stores: Stores) -> Iterator[str]:
    """A real uvicorn server on loopback."""
    with running(configured(create_app(stores), stores.settings, port=0)) as url:
        yield url


@pytest.fixture(scope="module")
def api(base_url: str, scope: Scope) -> Iterator[httpx.Client]:
    """A client with an Admin key of the module's tenant."""
    _, secret = keys.create_key(scope, "tests", "tests@example.com", "Admin")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def integrations_api(base_url: str, scope: Scope) -> Iterator[httpx.Client]:
    """A client with an Integrations key of the module's tenant."""
    _, secret = keys.create_key(scope, "vendor", "vendor@example.com", "Integrations")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}, timeout=60) as client:
        yield client


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """What names resolve to, in turn, the last answer for ever, an empty one for none; others are the network's."""
    known: dict[str, list[list[str]]] = {}
    real: Any = socket.getaddrinfo

    def resolve(host: str, *args: Any, **options: Any) -> list[Any]:
        if host not in known:
            return list(real(host, *args, **options))
        turns = known[host]
        addresses = turns.pop(0) if len(turns) > 1 else turns[0]
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        pairs = zip(families, addresses, strict=True)
        return [(family, socket.SOCK_STREAM, 6, "", (address, 80)) for family, address in pairs]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known
