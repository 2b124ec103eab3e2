"""A process that writes, signs and hands over letters for the server that started it.

Python runs on one core at a time in a process, and writing and signing a letter takes more of it than anything else in
sending. It gets everything as plain data and opens no database. It ends with the server, however that ends: whatever
was under way then is in doubt, as it would be if the server itself had sent it.
"""

import contextlib
import os
import queue
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

from rapport.channels.brands.signing import Signer, SigningKey, loaded_key
from rapport.channels.relaying.relay import Relay
from rapport.channels.relaying.requests import Answer, Answers, CloseRelay, OpenRelay, RelayLetters, packed, unpacked
from rapport.channels.routes import Letter

# For so long receipts are gathered: whoever reads them has Python's lock to wait for each time.
TOGETHER_SECONDS = 0.003
# Where cores are short the server goes first: somebody waits for its answers.
NICENESS = 5


class Relays:
    """The relays that the server has open here."""

    def __init__(self, server: "Connection[bytes, bytes]") -> None:
        self._server = server
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        threading.Thread(target=self._answer, daemon=True).start()
        self._relays: dict[int, tuple[Relay, ThreadPoolExecutor]] = {}

    def serve(self) -> None:
        """Do what the server asks for. Raises EOFError when it has ended."""
        while True:
            request = unpacked(self._server.recv_bytes())
            if isinstance(request, RelayLetters):
                relay, threads = self._relays[request.number]
                for mark, letter in request.letters:
                    threads.submit(self._deliver, mark, relay, letter)
            elif isinstance(request, OpenRelay):
                self._relays[request.number] = self._opened(request)
            elif isinstance(request, CloseRelay):
                # Leaving takes a word to the mail server, which may be silent.
                threading.Thread(target=self._close, args=(request,), daemon=True).start()

    @staticmethod
    def _opened(request: OpenRelay) -> tuple[Relay, ThreadPoolExecutor]:
        signer = Signer([SigningKey(selector, loaded_key(pem)) for selector, pem in request.keys])
        return Relay(request.route, signer), ThreadPoolExecutor(request.connections, "smtp")

    def _deliver(self, mark: int, relay: Relay, letter: Letter) -> None:
        self._answers.put((mark, relay.deliver(letter)))

    def _close(self, request: CloseRelay) -> None:
        relay, threads = self._relays.pop(request.number)
        threads.shutdown(wait=True)
        relay.close()
        self._answers.put((request.mark, None))

    def _answer(self) -> None:
        """Tell the server what is decided, all that is meanwhile together."""
        while True:
            answers: Answers = [self._answers.get()]
            time.sleep(TOGETHER_SECONDS)
            with contextlib.suppress(queue.Empty):
                while True:
                    answers.append(self._answers.get_nowait())
            try:
                self._server.send_bytes(packed(answers))
            except OSError:  # the server has ended
                os._exit(0)


def main() -> None:
    """Serve on the socket that was handed down, whose number is the argument, until the server ends."""
    # Whoever stops a service tells all its processes: what is under way still ends as the server says.
    for word in (signal.SIGTERM, signal.SIGINT):
        signal.signal(word, signal.SIG_IGN)
    os.nice(NICENESS)
    try:
        Relays(Connection(int(sys.argv[1]))).serve()
    except (EOFError, OSError):
        os._exit(0)  # at once: nothing more may leave that nobody would enter


if __name__ == "__main__":
    main()
