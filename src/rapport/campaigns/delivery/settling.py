"""What became of a batch's messages is entered by a thread of its own, while further messages leave.

Each commit waits for the disk. Meanwhile what comes is gathered, and entered together in the next one: so the slower
the disk is, the fewer commits there are. How much may be gathered is bounded, since it is in doubt after a kill.
"""

import contextvars
import math
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Self

from rapport.access.scope import Scope
from rapport.campaigns.delivery import ledger
from rapport.campaigns.delivery.units import Unit
from rapport.campaigns.leases import HeldLease
from rapport.channels.messages import Receipt
from rapport.delivery.outbox import Claim

# Messages whose replies are known and not entered yet; what is more waits.
MOST_GATHERED = 64
# Nor does anything more leave while entering takes longer than this: the records may be away.
STALLED_SECONDS = 0.5


class Settlements:
    """Enters receipts under a lease; leaving the block waits for the last. Whatever entering raises, adding raises."""

    def __init__(self, scope: Scope, held: HeldLease, unit: Unit, tries: ledger.Tries) -> None:
        self._scope, self._held, self._unit, self._tries = scope, held, unit, tries
        self._receipts: dict[Claim, Receipt] = {}
        self._until: dict[Claim, datetime] = {}
        self._changed = threading.Condition()
        self._fault: BaseException | None = None
        self._closing = False
        self._began = math.inf  # when what is being entered now was begun, monotonic
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._work,), name="settling", daemon=True)

    def add(self, receipts: Mapping[Claim, Receipt]) -> None:
        """Enter receipts soon; wait while too many are not entered."""
        with self._changed:
            self._receipts |= receipts
            self._let_it_work()

    def hold(self, until: Mapping[Claim, datetime]) -> None:
        """Enter soon that messages were not tried and wait for an instant."""
        with self._changed:
            self._until |= until
            self._let_it_work()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        if error is None and self._fault is not None:
            raise self._fault

    def _let_it_work(self) -> None:
        """Wake the thread, and wait while it is far behind; the lock is held."""
        self._changed.notify_all()
        while self._fault is None and (len(self._receipts) > MOST_GATHERED or self._is_stalled()):
            self._changed.wait(STALLED_SECONDS)
        if self._fault is not None:
            raise self._fault

    def _is_stalled(self) -> bool:
        return time.monotonic() - self._began > STALLED_SECONDS

    def _work(self) -> None:
        while self._enter(*self._next()):
            pass

    def _next(self) -> tuple[dict[Claim, Receipt], dict[Claim, datetime]]:
        """What is to be entered now; nothing at the end."""
        with self._changed:
            self._began = math.inf
            self._changed.notify_all()
            while not (self._receipts or self._until or self._closing):
                self._changed.wait()
            receipts, self._receipts = self._receipts, {}
            until, self._until = self._until, {}
            self._began = time.monotonic()
            self._changed.notify_all()
        return receipts, until

    def _enter(self, receipts: dict[Claim, Receipt], until: dict[Claim, datetime]) -> bool:
        """Enter what was gathered; whether to go on."""
        try:
            if receipts:
                ledger.settle(self._scope, self._held, self._unit, receipts, self._tries)
            if until:
                ledger.hold(self._scope, self._held, self._unit, until)
        except BaseException as fault:
            with self._changed:
                self._fault = fault
                self._changed.notify_all()
            return False
        return bool(receipts or until)
