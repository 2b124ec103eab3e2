"""The application on a free port of loopback, for the demo's outside systems: they know it by its API only."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from rapport.app import create_app
from rapport.stores import Stores

# Longer than a day of a demo takes, between whose parts its clients keep their connections.
IDLE_SECONDS = 600


@contextmanager
def served(stores: Stores) -> Iterator[str]:
    """The base URL of the API for as long as the block runs."""
    app = create_app(stores)
    config = uvicorn.Config(
        app, port=0, log_config=None, access_log=False, lifespan="off", timeout_keep_alive=IDLE_SECONDS
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="demo api", daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
