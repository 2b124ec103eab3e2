"""A stream of messages handed to whatever sends them, with a bounded number under way."""

import contextlib
import queue
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from rapport.channels.messages import Message, Receipt, count

# For so long receipts are gathered before they are given out.
GATHERED_SECONDS = 0.05

Decided = queue.SimpleQueue[Receipt]


def handed_over(
    messages: Iterable[Message],
    hand: Callable[[Sequence[Message], Decided], None],
    kind: str,
    together: int,
    most: int,
    least: int,
) -> Iterator[list[Receipt]]:
    """Hand over messages and give out the receipts that were decided meanwhile, so that whoever keeps them writes
    seldom.

    hand takes messages and puts a receipt of each into the queue, whatever happens. Messages are handed over together
    as told; at most most are under way, wait, or are decided without having been given out. Of receipts at least least
    are given out together, unless that takes longer than a moment. kind is that of the channel, for metrics.
    """
    decided: Decided = queue.SimpleQueue()
    waiting = 0
    unhanded: list[Message] = []
    for message in messages:
        if waiting == most:
            receipts = _some_of(decided, least, kind)
            yield receipts
            waiting -= len(receipts)
        unhanded.append(message)
        waiting += 1
        if len(unhanded) == together or waiting == most:
            hand(unhanded, decided)
            unhanded = []
    hand(unhanded, decided)
    while waiting:
        receipts = _some_of(decided, min(waiting, least), kind)
        yield receipts
        waiting -= len(receipts)


def _some_of(decided: Decided, least: int, kind: str) -> list[Receipt]:
    """So many receipts, or more if there are; fewer when they take longer than a moment, but always one."""
    receipts = [decided.get()]
    end = time.monotonic() + GATHERED_SECONDS
    with contextlib.suppress(queue.Empty):
        while len(receipts) < least:
            receipts.append(decided.get(timeout=max(0.0, end - time.monotonic())))
        while True:
            receipts.append(decided.get_nowait())
    for became, messages in Counter(receipt.became for receipt in receipts).items():
        count(kind, became, messages)
    return receipts
