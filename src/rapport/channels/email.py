"""E-mail over SMTP: a bounded number of connections, each reused until anything goes wrong on it."""

import queue
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import unquote, urlsplit

from rapport.channels.addresses import recipient
from rapport.channels.brands.outgoing import Outgoing
from rapport.channels.connection_faults import NO_CONNECTION, failure
from rapport.channels.connections import Connection
from rapport.channels.handing import handed_over
from rapport.channels.messages import Message, Receipt
from rapport.channels.relaying.processes import RelayProcesses
from rapport.channels.relaying.relay import Relay
from rapport.channels.routes import ROUTED, Letter, Route
from rapport.channels.senders import domain_of
from rapport.channels.settings import EmailSettings
from rapport.errors import Invalid, Unavailable
from rapport.settings import Settings
from rapport.stores.clock import Clock

NOT_ALLOWED = "sender is not one that the tenant may send from"


def effective(channel: EmailSettings, server: Settings) -> EmailSettings:
    """A channel's settings with the server's own mail settings where the channel has none. Raises Invalid."""
    filled = channel.model_copy(update={"from_address": channel.from_address or server.mail_from})
    if channel.host:
        return filled
    parts = urlsplit(server.smtp_url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise Invalid("RAPPORT_SMTP_URL must be smtp://host:port or smtps://host:port.")
    security = "tls" if parts.scheme == "smtps" else "starttls" if "starttls" in parts.query else "none"
    own = {
        "host": parts.hostname,
        "port": parts.port or (465 if security == "tls" else 25),
        "security": security,
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
    }
    return filled.model_copy(update=own)


class EmailTransport:
    """Sends over at most `connections` connections; takes the next message only when one of them is free.

    Each message gets what its brand gives it: a return path and signatures. With processes those write, sign and send
    the messages; if they have all ended, threads of this process do, as they do without.
    """

    def __init__(
        self,
        channel: EmailSettings,
        server: Settings,
        clock: Clock,
        brand: Outgoing | None = None,
        processes: RelayProcesses | None = None,
    ) -> None:
        self._brand = brand or Outgoing()
        self._settings = effective(channel, server)
        allow_private = server.allow_private_addresses or not channel.host
        own = {name: getattr(self._settings, name) for name in ROUTED}
        self._route = Route(**own, allow_private=allow_private)
        self._clock = clock
        self._relay = Relay(self._route, self._brand.signer)
        connections = self._settings.connections
        self._workers = ThreadPoolExecutor(connections, "smtp")
        self._shared = processes.open(self._route, self._brand.signer.keys, connections) if processes else None

    def send(self, messages: Iterable[Message]) -> Iterator[Receipt]:
        """One receipt a message, as each is decided. Messages are drawn only as fast as they leave."""
        for receipts in self.send_many(messages):
            yield from receipts

    def send_many(self, messages: Iterable[Message]) -> Iterator[list[Receipt]]:
        """Receipts together that were decided meanwhile, so that whoever keeps them writes seldom.

        At most as many messages are under way as there are connections, and at most as many wait for one or are
        decided without having been given out; three times as many where processes send.
        """
        connections = self._settings.connections
        # Processes are handed several at once, and have as many again waiting: each word to them costs.
        together, most = (connections, 4 * connections) if self._shared else (1, 2 * connections)
        return handed_over(messages, self._hand, "email", together, most, least=connections)

    def check(self) -> None:
        """Connect, log in and leave. Raises Unavailable."""
        try:
            Connection(self._route).quit()
        except NO_CONNECTION as error:
            raise Unavailable(f"The mail server cannot be used: {failure(error)}.") from error

    def close(self) -> None:
        """Let messages in flight end, then leave every connection."""
        self._workers.shutdown(wait=True)
        self._relay.close()
        if self._shared is not None:
            self._shared.close()

    def _hand(self, messages: Sequence[Message], decided: "queue.SimpleQueue[Receipt]") -> None:
        """Have messages sent, whose receipts are put there: one is owed for each, whatever happens."""
        letters: list[Letter] = []
        for message in messages:
            letter = self._letter(message)
            if isinstance(letter, Receipt):
                decided.put(letter)
            else:
                letters.append(letter)
        for letter in self._shared.hand(letters, decided) if self._shared else letters:
            self._workers.submit(self._deliver, letter, decided)

    def _deliver(self, letter: Letter, decided: "queue.SimpleQueue[Receipt]") -> None:
        decided.put(self._relay.deliver(letter))

    def _letter(self, message: Message) -> Letter | Receipt:
        """The letter that a message becomes, or the receipt of one that cannot be sent."""
        try:
            return self._written(message)
        except Exception as error:
            return Receipt(message.message_id, "failed", f"not sent: {type(error).__name__}")

    def _written(self, message: Message) -> Letter | Receipt:
        from_address = message.sender.address or self._settings.from_address
        if not self._brand.may_send_from(from_address):
            return Receipt(message.message_id, "failed", NOT_ALLOWED, True)
        try:
            if (to := recipient(message.to)) != message.to:
                message = replace(message, to=to)
        except ValueError:
            return Receipt(message.message_id, "failed", "not an e-mail address", True)
        return_path = self._brand.return_path(message.message_id, message.return_token) or from_address
        return Letter(message, return_path, domain_of(from_address), self._clock.now())
