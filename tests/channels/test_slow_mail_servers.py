"""A mail server that keeps its sender waiting, byte for byte or line for line, is left."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rapport.channels.email import EmailTransport
from rapport.channels.messages import Message, Receipt
from rapport.channels.settings import EmailSettings
from rapport.stores import Stores
from rapport.stores.clock import Clock

WAIT_SECONDS = 0.3
# A reply that takes many waits, of which none is long; then the server goes on as if nothing had been.
DRIPS, PAUSE_SECONDS = 80, WAIT_SECONDS / 5
ANSWERS = {b"EHLO": b"250 mx", b"MAIL": b"250 ok", b"RCPT": b"250 ok", b"DATA": b"354 go on", b".": b"250 taken"}


def drip(connection: socket.socket, answer: bytes) -> None:
    connection.sendall(answer[:3] + b"-")
    for _ in range(DRIPS):
        connection.sendall(b"x")
        time.sleep(PAUSE_SECONDS)
    connection.sendall(b"\r\n" + answer + b"\r\n")


def flood(connection: socket.socket, answer: bytes) -> None:
    for _ in range(1000):
        connection.sendall((answer[:3] + b"-" + b"x" * 78 + b"\r\n") * 10)
    connection.sendall(answer + b"\r\n")


class Slow:
    """Answers each command at once, one of them with a reply that takes long."""

    def __init__(self, slow_at: bytes, reply: object) -> None:
        self.slow_at, self.reply = slow_at, reply
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._listening.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._speak, args=(connection,), daemon=True).start()

    def _speak(self, connection: socket.socket) -> None:
        try:
            self._answer(connection, b"HELLO", b"220 mx")
            content = False
            for line in connection.makefile("rb"):
                command = line.strip().split(b" ")[0].split(b":")[0].upper()
                if content and command != b".":
                    continue
                self._answer(connection, command, ANSWERS.get(command, b"250 ok"))
                content = command == b"DATA"
        except OSError:
            pass  # the sender has left
        finally:
            connection.close()

    def _answer(self, connection: socket.socket, command: bytes, answer: bytes) -> None:
        if command == self.slow_at:
            self.reply(connection, answer)  # type: ignore[operator]
        else:
            connection.sendall(answer + b"\r\n")

    def stop(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@contextmanager
def slow(at: bytes, reply: object) -> Iterator[Slow]:
    server = Slow(at, reply)
    try:
        yield server
    finally:
        server.stop()


def sent(stores: Stores, server: Slow) -> Receipt:
    given = {"host": "127.0.0.1", "port": server.port, "from_address": "club@shop.example"}
    channel = EmailSettings.model_validate({**given, "timeout_seconds": WAIT_SECONDS})
    transport = EmailTransport(channel, stores.settings, Clock())
    try:
        (receipt,) = transport.send([Message("c1-1", "Q1", "q1@mail.example", "Hi", "Hello")])
    finally:
        transport.close()
    return receipt


@pytest.mark.parametrize("at", [b"HELLO", b"EHLO", b"MAIL", b"."])
@pytest.mark.parametrize("reply", [drip, flood])
def test_a_reply_that_does_not_end_fails_its_message(stores: Stores, at: bytes, reply: object) -> None:
    with slow(at, reply) as server:
        receipt = sent(stores, server)
    assert (receipt.outcome, receipt.permanent) == ("failed", False)
    assert reply is flood or receipt.reason == "mail server did not answer in time"


def test_replies_of_many_lines_are_taken(stores: Stores) -> None:
    def lines(connection: socket.socket, answer: bytes) -> None:
        connection.sendall(b"250-mx\r\n" + b"".join(b"250-X-%d\r\n" % n for n in range(50)) + answer + b"\r\n")

    with slow(b"EHLO", lines) as server:
        assert sent(stores, server).outcome == "sent"
