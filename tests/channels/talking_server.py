"""A server that says what a test has written down, whatever it hears."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def scripted(replies: Sequence[str]) -> Iterator[tuple[int, Callable[[], list[str]]]]:
    """Its port, and what answers the commands that it heard. It serves one connection and then hears to its end."""
    heard: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, connection.makefile("rb") as lines:
                for reply in replies[:1]:
                    connection.sendall(f"{reply}\r\n".encode())
                for reply in replies[1:]:
                    heard.append(lines.readline().split()[0].decode())
                    connection.sendall(f"{reply}\r\n".encode())
                heard.extend(line.split()[0].decode() for line in lines)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()

        def ended() -> list[str]:
            thread.join(10)
            return heard

        yield listening.getsockname()[1], ended
