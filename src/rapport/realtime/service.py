"""What the process and the API may ask of real time: its workers, the intake, visitors, erasure."""

from rapport.realtime.gateway_worker import Decider
from rapport.realtime.matching.processor import Processor
from rapport.realtime.recording.warehouse_writer import Filer
from rapport.realtime.sending import Sender
from rapport.stores import Stores
from rapport.stores.workers.base import Worker


def workers(stores: Stores) -> list[Worker]:
    """Whoever works in a process of the role worker."""
    return [Processor(stores), Decider(stores), Sender(stores), Filer(stores)]
