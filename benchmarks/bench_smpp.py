"""Text messages over SMPP by the transport of a channel, against the bare library with the same window.

Both submit to the same stand-in for an SMS centre, a process of its own that takes everything. Ours looks at each
number, counts segments, keeps the centre's ids of all messages in the records, and gives a receipt a message. The
library builds and parses PDUs in one thread, and sends the next when an answer has come. They take turns.

    python benchmarks/bench_smpp.py [--size N] [--window W] [--rounds R]
"""

import argparse
import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import shutil
import socket
import statistics
import struct
import tempfile
import time
from pathlib import Path

from smpplib import consts
from smpplib.client import Client

from rapport.access.service import create_tenant
from rapport.channels.messages import Message, Origin
from rapport.channels.sms.numbers import number_of
from rapport.channels.sms.settings import SmsChannelSettings
from rapport.channels.sms.smpp import SmppTransport
from rapport.settings import Settings
from rapport.stores import open_stores

LOWEST_RATIO = 0.8
TEXT = "Your parcel arrives today between 14:00 and 16:00. Track it at https://links.example/s/4fT0aZk2Qp"
BIND, SUBMIT, UNBIND, RESPONSE = 0x09, 0x04, 0x06, 0x80000000


def centre(ready: multiprocessing.connection.Connection) -> None:
    """Take binds one after the other, and answer whatever comes on them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ready.send(server.getsockname()[1])
        while True:
            connection, _ = server.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                serve(connection)


def serve(connection: socket.socket) -> None:
    buffer, count = bytearray(), 0
    while received := connection.recv(65536):
        buffer += received
        answers = bytearray()
        while len(buffer) >= 16 and len(buffer) >= int.from_bytes(buffer[:4], "big"):
            length, command, _, sequence = struct.unpack(">LLLL", buffer[:16])
            del buffer[:length]
            body = b""
            if command == SUBMIT:
                count += 1
                body = f"{time.time_ns() & 0xFFFFFFFF:08x}{count:08x}".encode() + b"\0"
            elif command == BIND:
                body = b"centre\0"
            if not command & RESPONSE:
                answers += struct.pack(">LLLL", 16 + len(body), command | RESPONSE, 0, sequence) + body
        connection.sendall(answers)


def bare(port: int, window: int, numbers: list[str]) -> float:
    """Messages a second of the library alone."""
    client = Client("127.0.0.1", port, timeout=10, allow_unknown_opt_params=True)
    client.connect()
    client._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.bind_transceiver(system_id="bench", password="bench")
    answered = 0

    def on_answer(pdu: object) -> None:
        nonlocal answered
        answered += 1

    client.set_message_sent_handler(on_answer)
    began, sent = time.perf_counter(), 0
    while answered < len(numbers):
        while sent < len(numbers) and sent - answered < window:
            client.send_message(
                source_addr_ton=consts.SMPP_TON_ALNUM,
                source_addr_npi=consts.SMPP_NPI_UNK,
                source_addr="Northwind",
                dest_addr_ton=consts.SMPP_TON_INTL,
                dest_addr_npi=consts.SMPP_NPI_ISDN,
                destination_addr=numbers[sent].removeprefix("+"),
                short_message=TEXT.encode(),
                data_coding=0,
                esm_class=0,
                registered_delivery=1,
            )
            sent += 1
        client.read_once()
    seconds = time.perf_counter() - began
    client.unbind()
    client.disconnect()
    return len(numbers) / seconds


def ours(transport: SmppTransport, numbers: list[str]) -> float:
    """Messages a second of the transport."""
    messages = [
        Message(
            f"{place:040x}", f"C{place}", number, text=TEXT, return_token=f"t{place:031d}", origin=Origin(493, 1, 1)
        )
        for place, number in enumerate(numbers)
    ]
    began = time.perf_counter()
    receipts = [receipt for together in transport.send_many(messages) for receipt in together]
    seconds = time.perf_counter() - began
    assert len(receipts) == len(messages) and {receipt.outcome for receipt in receipts} == {"sent"}
    return len(messages) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=4000)
    parser.add_argument("--window", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=centre, args=(there,), daemon=True)
    process.start()
    port = here.recv()
    numbers = [number_of(f"+4917139200{place % 100:02d}") for place in range(asked.size)]
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    try:
        with contextlib.closing(open_stores(Settings(data_dir=folder, allow_private_addresses=True))) as stores:
            scope = create_tenant(stores, "bench", "UTC", "EUR")
            settings = SmsChannelSettings.model_validate(
                {
                    "via": "smpp",
                    "host": "127.0.0.1",
                    "port": port,
                    "system_id": "bench",
                    "password": "bench",
                    "sender": "Northwind",
                    "window": asked.window,
                }
            )
            rates: dict[str, list[float]] = {"bare": [], "ours": []}
            for _ in range(asked.rounds):
                rates["bare"].append(bare(port, asked.window, numbers))
                transport = SmppTransport(scope, settings)
                rates["ours"].append(ours(transport, numbers))
                transport.close()
    finally:
        process.terminate()
        shutil.rmtree(folder, ignore_errors=True)
    for name, measured in rates.items():
        print(f"{name}: {', '.join(f'{rate:,.0f}' for rate in measured)} messages a second")
    ratio = statistics.median(mine / theirs for mine, theirs in zip(rates["ours"], rates["bare"], strict=True))
    print(f"ratio {ratio:.2f}, at least {LOWEST_RATIO}: {'met' if ratio >= LOWEST_RATIO else 'MISSED'}")


if __name__ == "__main__":
    main()
