"""The records database: its pool of connections, locks, sealed columns, and text that it can hold."""

from rapport.stores.records.engine import (
    Base,
    Records,
    Sequence,
    hold,
    hold_each,
    next_id,
    next_ids,
    share,
    taken,
    unique_name,
)

__all__ = ["Base", "Records", "Sequence", "hold", "hold_each", "next_id", "next_ids", "share", "taken", "unique_name"]
