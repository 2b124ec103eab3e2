"""A server for the length of one command, on engines that no server has open."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from rapport.commands import server_file
from rapport.commands.connections import KEEP_ALIVE_SECONDS
from rapport.settings import Settings
from rapport.stores import Stores, open_stores


@contextmanager
def private_server(
    settings: Settings, *, working: bool, upgrading: bool, access: bool
) -> Iterator[server_file.Running]:
    """Open the engines and serve them on a free port of loopback; access: the calls about tenants and keys alone.

    Raises Unavailable as open_stores does.
    """
    if settings.by_url:  # a server of this machine may run there, and its work is its own
        settings = settings.model_copy(update={"process_name": f"{settings.process}-command"})
    stores = open_stores(settings, upgrading=upgrading)
    try:
        create = _maker(access)  # much to read, and for nothing when the engines cannot be opened
        if working:
            stores.start_work()
        listener = server_file.listen("127.0.0.1", 0)
        running = server_file.this_process(server_file.address(*listener.getsockname()))
        with _serving(create(stores, running.token), listener):
            yield running
    finally:
        stores.close()


def _maker(access: bool) -> Callable[[Stores, str], FastAPI]:
    if access:
        from rapport.api.access_app import create_access_app

        return create_access_app
    from rapport.app import create_app

    return create_app


@contextmanager
def _serving(app: FastAPI, listener: socket.socket) -> Iterator[None]:
    # Longer than its one caller keeps a connection that it does not use.
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", timeout_keep_alive=KEEP_ALIVE_SECONDS
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
