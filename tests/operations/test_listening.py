"""The socket of the server."""

import socket

from rapport.commands.server_file import listen


def test_answers_do_not_wait_for_acknowledgements() -> None:
    """Else the last part of an answer on a connection that is kept comes about 40 ms late."""
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
