"""Push messages on their way: each goes to every device of its customer, by the provider of the device."""

import asyncio
import contextlib
import queue
import threading
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from pydantic import ValidationError

from rapport.access.scope import Scope
from rapport.apps import definitions as app_definitions
from rapport.apps.devices import Device, Refusal, devices_by_key, devices_of, note_refusals, token_ended
from rapport.apps.states import TokenType
from rapport.channels.messages import Message, Origin, Receipt, count
from rapport.channels.push.addressing import APP, INSTALL
from rapport.channels.push.answers import Answer, Provider, Verdict
from rapport.channels.push.apns import ApnsProvider
from rapport.channels.push.details import PushDetails
from rapport.channels.push.fcm import FcmProvider
from rapport.channels.push.hms import HmsProvider
from rapport.channels.push.numbers import number_of
from rapport.channels.push.payloads import Push
from rapport.channels.push.posts import Posts
from rapport.channels.push.settings import PushSettings
from rapport.channels.push.web import WebPushProvider

NO_DEVICE, SWITCHED_OFF = "no device", "notifications are switched off on every device"
NO_ACCOUNT = "the channel has no account at the provider of the device"
# How many messages are under way at most, and how many have their devices looked up together.
MOST, TOGETHER = 600, 200
# For so long receipts are gathered before they are given out.
GATHERED_SECONDS = 0.02
# Pauses before a device is tried again whose provider refused, when another device of the customer has the message.
PAUSES = (0.3, 2.0)
LONGEST_PAUSE = 5.0


@dataclass(slots=True)
class Parcel:
    """A message with the devices that it goes to, and what became of it on each."""

    message: Message
    push: Push
    devices: Sequence[Device]
    answers: list[Answer] = field(default_factory=list)


Decided = Parcel | Receipt
Result = TypeVar("Result")


class Decisions:
    """What was decided of messages, from the loop to the thread that waits for it: not one by one, since each time a
    thread is woken costs more than a message.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._gathered: list[Decided] = []
        self._parts: queue.SimpleQueue[list[Decided]] = queue.SimpleQueue()

    def put(self, parcel: Parcel) -> None:
        """Hand over what became of a parcel, with what comes in a moment. In the loop."""
        if not self._gathered:
            self._loop.call_later(GATHERED_SECONDS, self._hand_over)
        self._gathered.append(parcel)

    def put_at_once(self, receipts: list[Decided]) -> None:
        """Hand over what was decided outside the loop."""
        self._parts.put(receipts)

    def wait(self) -> list[Decided]:
        """What was decided meanwhile; always something. Outside the loop."""
        return self._parts.get()

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        self._parts.put(gathered)


class PushTransport:
    """One channel's way out. Its connections live in a thread with an event loop of their own."""

    def __init__(self, scope: Scope, settings: PushSettings, longest: float) -> None:
        self._scope, self._settings = scope, settings
        self._numbers: dict[Origin, int] = {}
        self._seconds = min(settings.timeout_seconds, longest)
        self._loop = asyncio.new_event_loop()
        self._threads = ThreadPoolExecutor(8, "push")
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="push", daemon=True)
        self._thread.start()
        try:
            self._providers, self._posts = self._in_loop(self._opened())
        except BaseException:
            self._stop()
            raise

    def send(self, messages: Iterable[Message]) -> Iterator[Receipt]:
        """One receipt a message, as each is decided. Messages are drawn only as fast as they leave."""
        for receipts in self.send_many(messages):
            yield from receipts

    def send_many(self, messages: Iterable[Message]) -> Iterator[list[Receipt]]:
        """Receipts together that were decided meanwhile. A message is sent once a device of its customer has it."""
        decisions, told_away = Decisions(self._loop), set[str]()
        waiting, drawn = 0, iter(messages)
        while batch := list(islice(drawn, TOGETHER)):
            self._hand(batch, decisions)
            waiting += len(batch)
            while waiting > MOST - TOGETHER:
                receipts = self._receipts(decisions.wait(), told_away)
                waiting -= len(receipts)
                yield receipts
        while waiting:
            receipts = self._receipts(decisions.wait(), told_away)
            waiting -= len(receipts)
            yield receipts

    def check(self) -> None:
        """Connect to each provider, or log in there. Raises Unavailable."""
        for provider in self._providers.values():
            self._in_loop(provider.check())

    def close(self) -> None:
        """Let messages in flight end, then leave every provider."""
        with contextlib.suppress(TimeoutError):
            self._in_loop(self._closed(), self._seconds + 2 * LONGEST_PAUSE)
        self._stop()

    async def _opened(self) -> tuple[Mapping[int, Provider], list[Posts]]:
        server, settings = self._scope.stores.settings, self._settings.model_copy()
        settings.timeout_seconds = self._seconds
        own = Posts(self._threads, self._seconds, allow_private=True)  # the operator says where these lead
        open_to_all = Posts(self._threads, self._seconds, allow_private=server.allow_private_addresses)
        providers: dict[int, Provider] = {}
        if settings.has_apns:
            providers[TokenType.APNS] = ApnsProvider(settings, server, self._seconds)
        if settings.fcm_service_account:
            providers[TokenType.FCM] = FcmProvider(settings, server, own)
        if settings.has_hms:
            providers[TokenType.HMS] = HmsProvider(settings, server, own)
        of_tenant = {app.id: app for app in app_definitions.apps(self._scope)}
        contact = settings.contact or f"mailto:{server.mail_from}"
        providers[TokenType.WEB_PUSH] = WebPushProvider(of_tenant, contact, open_to_all)
        return providers, [own, open_to_all]

    async def _closed(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks)
        for provider in self._providers.values():
            await provider.close()
        for posts in self._posts:
            await posts.close()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._threads.shutdown(wait=False)

    def _in_loop(self, work: Coroutine[Any, Any, Result], seconds: float | None = None) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def _hand(self, messages: Sequence[Message], decisions: Decisions) -> None:
        """Have messages sent, what becomes of which is put there: one is owed for each, whatever happens."""
        devices = self._devices(messages)
        parcels: list[Parcel] = []
        decided: list[Decided] = []
        for message in messages:
            parcel = self._parcel(message, devices.get(message.message_id, []))
            if isinstance(parcel, Parcel):
                parcels.append(parcel)
            else:
                decided.append(parcel)
        if decided:
            decisions.put_at_once(decided)
        if parcels:
            self._loop.call_soon_threadsafe(self._begin, parcels, decisions)

    def _devices(self, messages: Sequence[Message]) -> dict[str, list[Device]]:
        """The devices of each message."""
        keys = {
            message.message_id: (int(message.headers.get(APP) or 0), message.headers[INSTALL])
            for message in messages
            if INSTALL in message.headers
        }
        single = devices_by_key(self._scope, set(keys.values()))
        to_customers = [message for message in messages if message.message_id not in keys]
        of_customers = devices_of(self._scope, [message.to for message in to_customers], self._settings.app_id)
        devices = {message_id: [single[key]] for message_id, key in keys.items() if key in single}
        for message in to_customers:
            app_id = message.headers.get(APP)
            theirs = of_customers.get(message.to, [])
            devices[message.message_id] = [device for device in theirs if app_id in (None, str(device.app_id))]
        return devices

    def _parcel(self, message: Message, devices: Sequence[Device]) -> Decided:
        """What is to be sent, or the receipt of a message that nobody can get."""
        reached = [device for device in devices if device.notifications_enabled is not False]
        if not reached:
            return Receipt(message.message_id, "skipped", SWITCHED_OFF if devices else NO_DEVICE, permanent=True)
        try:
            details = PushDetails.model_validate(message.details)
            return Parcel(message, Push(self._number(message.origin), message.subject, message.text, details), reached)
        except (ValidationError, ValueError) as error:
            return Receipt(message.message_id, "failed", f"not sent: {type(error).__name__}", permanent=True)

    def _number(self, origin: Origin) -> int:
        """By which devices report of messages of an origin."""
        if origin not in self._numbers:
            self._numbers[origin] = number_of(self._scope, origin)
        return self._numbers[origin]

    def _begin(self, parcels: Sequence[Parcel], decisions: Decisions) -> None:
        for parcel in parcels:
            task = self._loop.create_task(self._deliver(parcel, decisions))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, parcel: Parcel, decisions: Decisions) -> None:
        """Send a message to its devices. One that has reached some is not sent there again for the others' sake."""
        try:
            if len(parcel.devices) == 1:
                parcel.answers = [await self._try(parcel, parcel.devices[0])]
                return
            parcel.answers = list(await asyncio.gather(*(self._try(parcel, each) for each in parcel.devices)))
            for pause in PAUSES:
                again = [place for place, answer in enumerate(parcel.answers) if answer.may_pass]
                if not again or all(answer.verdict is not Verdict.TAKEN for answer in parcel.answers):
                    return
                wait = max(parcel.answers[place].retry_after for place in again)
                await asyncio.sleep(min(max(pause, wait), LONGEST_PAUSE))
                for place in again:
                    parcel.answers[place] = await self._try(parcel, parcel.devices[place])
        finally:
            decisions.put(parcel)

    async def _try(self, parcel: Parcel, device: Device) -> Answer:
        provider = self._providers.get(device.token_type)
        if provider is None:
            return Answer(Verdict.REFUSED, NO_ACCOUNT)
        try:
            return await provider.send(parcel.push, device, parcel.message.message_id)
        except Exception as error:  # one device that cannot be sent to is no other's fault
            return Answer(Verdict.LATER, f"not sent: {type(error).__name__}")

    def _receipts(self, decided: Sequence[Decided], told_away: set[str]) -> list[Receipt]:
        """Receipts of what was decided; told_away are the providers that the log says already cannot be reached."""
        parcels = [each for each in decided if isinstance(each, Parcel)]
        self._note(parcels, told_away)
        tried = [receipt_of(parcel.message.message_id, parcel.answers) for parcel in parcels]
        for became, messages in Counter(receipt.became for receipt in tried).items():
            count("push", became, messages)
        return tried + [each for each in decided if isinstance(each, Receipt)]

    def _note(self, parcels: Iterable[Parcel], told_away: set[str]) -> None:
        """Enter in the log what providers refused, once that one cannot be reached; forget tokens that have ended."""
        refusals: list[Refusal] = []
        for parcel in parcels:
            for device, answer in zip(parcel.devices, parcel.answers, strict=False):
                if answer.verdict is Verdict.TAKEN:
                    continue
                provider = self._providers.get(device.token_type)
                name = provider.name if provider else "none"
                if answer.verdict is not Verdict.AWAY or name not in told_away:
                    refusals.append(Refusal(device, name, answer.status, answer.reason))
                if answer.verdict is Verdict.AWAY:
                    told_away.add(name)
                if answer.verdict is Verdict.DEAD:
                    token_ended(self._scope, device, answer.reason)
        note_refusals(self._scope, refusals)


def receipt_of(message_id: str, answers: Sequence[Answer]) -> Receipt:
    """What became of a message by what became of it on its devices."""
    verdicts = {answer.verdict for answer in answers}
    if Verdict.TAKEN in verdicts:
        return Receipt(message_id, "sent")
    # What cannot be reached comes first: its reason tells what the message waits for.
    waiting = sorted(
        (answer for answer in answers if answer.may_pass), key=lambda answer: answer.verdict is not Verdict.AWAY
    )
    if waiting or not answers:
        reason = waiting[0].reason if waiting else "not sent"
        wait = max((answer.retry_after for answer in waiting), default=0.0)
        return Receipt(message_id, "failed", reason, away=Verdict.AWAY in verdicts, retry_after=wait)
    refused = next((answer for answer in answers if answer.verdict is Verdict.REFUSED), answers[0])
    return Receipt(message_id, "failed", refused.reason, permanent=True)
