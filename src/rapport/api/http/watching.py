"""Whether a process lives, whether it can work, and its metrics: the same three addresses in every process.

What they ask of the engines is asked in threads of their own and waited for a moment only: an engine that is hung
takes neither of them with it, and no request waits behind them.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, disable_created_metrics, generate_latest
from starlette.responses import Response

from rapport.campaigns.cycle import measuring
from rapport.errors import Away, RapportError, Unavailable
from rapport.notifications import service as notifications
from rapport.realtime import retention
from rapport.stores import Stores, holds, measures
from rapport.stores.faults import DISK_FULL
from rapport.stores.local import disk
from rapport.stores.outages import RECORDS_AWAY, WAREHOUSE_AWAY, outage
from rapport.stores.records.connecting import statements_within
from rapport.stores.warehouse.warehouse_server import answers_within
from rapport.stores.workers import presence
from rapport.stores.workflows import work

# Seconds until an engine counts as away; a question to it ends by itself after some more.
PATIENCE_SECONDS, QUESTION_SECONDS = 2.0, 10.0
# How long what was measured in the records is good.
MEASURED_SECONDS = 5.0
# What is measured in the records, so that it is the same whichever process is asked.
MEASURES: tuple[Callable[[Stores], object], ...] = (
    retention.measure,
    notifications.measure,
    measuring.measure,
    work.measure,
    presence.measure,
    measures.measure_records,
)
# When each series began is asked by nobody, and doubles their number.
disable_created_metrics()  # type: ignore[no-untyped-call]
UP = Gauge("rapport_engine_up", "Whether an engine answered when these metrics were collected", ["engine"])


class Watch:
    """Asks the engines of a process, one question at a time to each."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._asking: dict[str, Future[None]] = {}
        self._measured = float("-inf")
        self.held = False  # as of the last time the records were asked

    async def faults(self) -> list[str]:
        """What keeps the process from working, a sentence each; empty when nothing does."""
        records = self._answers("records", self._ask_records, RECORDS_AWAY)
        warehouse = self._answers("warehouse", self._ask_warehouse, WAREHOUSE_AWAY)
        room = self._answers("disk", self._ask_disk, DISK_FULL)
        faults = [fault for fault in await asyncio.gather(records, warehouse, room) if fault]
        return faults + [
            f"The worker {name} has ended: start this process again." for name in self._stores.workers.ended()
        ]

    async def measure(self) -> None:
        """Bring the metrics that are measured in the records up to date, as far as those answer."""
        if time.monotonic() - self._measured >= MEASURED_SECONDS:
            answered = not await self._answers("measures", self._take_measures, RECORDS_AWAY)
            if answered:
                self._measured = time.monotonic()
            UP.labels("records").set(answered)
            UP.labels("warehouse").set(not await self._answers("sizes", self._measure_warehouse, WAREHOUSE_AWAY))

    def _ask_records(self) -> None:
        self._stores.records.check()
        self.held = holds.is_held(self._stores)

    def _ask_warehouse(self) -> None:
        self._stores.warehouse.database("default").value("SELECT 1")

    def _measure_warehouse(self) -> None:
        measures.measure_warehouse(self._stores)

    def _ask_disk(self) -> None:
        if disk.is_full(self._stores.settings):
            raise Away(DISK_FULL)

    def _take_measures(self) -> None:
        measures.measure_process(self._stores)
        for measure in MEASURES:
            measure(self._stores)

    async def _answers(self, name: str, ask: Callable[[], None], away: str) -> str:
        """Why a question has no answer, or nothing. One that is still open from before is waited for."""
        asking = self._asking.get(name)
        if asking is None or asking.done():
            thread = ThreadPoolExecutor(1, f"watch {name}")
            asking = self._asking[name] = thread.submit(_in_time, ask)
            thread.shutdown(wait=False)
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(asking)), PATIENCE_SECONDS)
        except TimeoutError:
            return away
        except RapportError as error:
            return error.message
        except Exception as error:
            return (outage(error) or Away(away)).message
        return ""


def _in_time(ask: Callable[[], None]) -> None:
    with statements_within(QUESTION_SECONDS), answers_within(QUESTION_SECONDS):
        ask()


router = APIRouter(tags=["operations"])


@router.get("/health", summary="Liveness of the process")
async def health() -> dict[str, str]:
    """Answers as long as the process runs, even if a database does not answer. Use it for a probe that restarts the
    process.
    """
    return {"status": "ok"}


@router.get("/ready", summary="Readiness of the process", responses={503: {"description": "The process is not ready"}})
async def ready(request: Request) -> dict[str, str]:
    """503 with a sentence that names the database that does not answer, or the thread that has ended.

    A process in which sending is held is ready, too, and says so: {"status": "ready", "outbound": "held"}.
    """
    watch = request.app.state.watch
    if faults := await watch.faults():
        raise Unavailable(" ".join(faults))
    return {"status": "ready", **({"outbound": "held"} if watch.held else {})}


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """The counts and times of this process, and the amount of work that waits for any process."""
    await request.app.state.watch.measure()
    # Thousands of lines, once each route was asked; not in the threads of requests, which may all be at work.
    return Response(await asyncio.to_thread(generate_latest), media_type=CONTENT_TYPE_LATEST)
