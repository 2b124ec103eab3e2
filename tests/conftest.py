"""Real engines once a run, a tenant (with a warehouse database of its own) a module, a real server."""

import os
import random
import shutil
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

# A random time zone for the process, before an engine reads it: nothing may depend on the machine's.
ZONES = ["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Auckland", "Europe/Berlin", "America/St_Johns"]
os.environ["TZ"] = os.environ.get("RAPPORT_TEST_TZ") or random.choice(ZONES)
time.tzset()

# Folders whose tests share something that is made once a run, and those that take longest.
TOGETHER = {"acceptance"}
LONGEST = {"acceptance", "operations"}

warnings.simplefilter("ignore")

import httpx  # noqa: E402
import pytest  # noqa: E402
import uvicorn  # noqa: E402

from rapport.access import keys  # noqa: E402
from rapport.access.scope import Scope  # noqa: E402
from rapport.access.service import create_tenant  # noqa: E402
from rapport.app import create_app  # noqa: E402
from rapport.settings import Settings  # noqa: E402
from rapport.stores import Stores, open_stores  # noqa: E402


def pytest_report_header() -> str:
    return f"time zone: {os.environ['TZ']}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workers side by side take whole folders or modules; the longest first, so that none is left to one at the end."""
    for item in items:
        folder = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group(folder if folder in TOGETHER else item.path.stem))
    items.sort(key=lambda item: item.path.parent.name not in LONGEST)


@pytest.fixture(scope="session")
def stores() -> Iterator[Stores]:
    folder = Path(tempfile.mkdtemp(prefix="rapport-test-"))
    folder.chmod(0o755)
    settings = Settings(data_dir=folder, allow_private_addresses=True, rate_limit_calls=0)
    opened = open_stores(settings)
    opened.start_work()
    yield opened
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
    server = uvicorn.Server(uvicorn.Config(create_app(stores), port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


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
