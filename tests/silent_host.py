"""A far end that takes connections and never answers."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def silent(address: str = "127.0.0.1") -> Iterator[tuple[int, Callable[[], int]]]:
    """Its port, and how many connections it has taken; 0.0.0.0 is every address of this machine."""
    taken: list[socket.socket] = []
    with socket.create_server((address, 0), backlog=1000) as listening:

        def take() -> None:
            while True:
                try:
                    taken.append(listening.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1], lambda: len(taken)
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for connection in taken:
                connection.close()
            thread.join()
