"""Bounded memory: when the engine spills to disk, and how rows are cut where it cannot.

Sorts, aggregations and joins spill at a share of a query's limit. What cannot spill (the set behind an IN, a window,
the widest joins) works on a slice of the rows at a time: a connection whose tables are filtered, so that the same SQL
sees only the rows of a slice. How many rows a slice has follows from the limit.
"""

from collections.abc import Iterator, Mapping, Sequence

# What the widest statements hold for each customer of a slice, and for each key of a set, with room to spare.
BYTES_A_CUSTOMER = 16_000
BYTES_A_KEY = 150
WITHOUT_LIMIT = 3_000_000_000  # slices are cut as for this limit where a query has none
# For how long a number of rows holds: an import that makes slices larger by far takes longer.
COUNTED_SECONDS = 5.0
# An insert takes several times the bytes of its block.
INSERT_BLOCK_BYTES = 64 * 1024 * 1024
AGGREGATED_BLOCK_BYTES = 50_000_000
# Each column of each part that is read, and each that is written, has a buffer.
COLUMN_BUFFER_BYTES = 1024 * 1024

# Customers out of the order of a table, of whom every SAMPLED_A_SLICE-th ends a slice.
SAMPLED_A_SLICE = 100
SAMPLED = """
    SELECT customer_id FROM {table} WHERE sipHash64(customer_id) % {{one_in:UInt64}} = 0 ORDER BY customer_id
"""


def memory_settings(memory_bytes: int) -> dict[str, int]:
    """The engine's settings for a limit on the memory of a query; none for no limit."""
    if not memory_bytes:
        return {}
    return {
        "max_memory_usage": memory_bytes,
        "max_bytes_before_external_group_by": memory_bytes // 6,
        "max_bytes_before_external_sort": memory_bytes // 6,
        "max_bytes_before_external_distinct": memory_bytes // 6,
        "max_bytes_before_external_join": memory_bytes // 6,
        "min_insert_block_size_bytes": min(INSERT_BLOCK_BYTES, memory_bytes // 48),
        "max_read_buffer_size": min(COLUMN_BUFFER_BYTES, memory_bytes // 3_000),
        "max_compress_block_size": min(COLUMN_BUFFER_BYTES, memory_bytes // 3_000),
        "aggregation_in_order_max_block_bytes": min(AGGREGATED_BLOCK_BYTES, memory_bytes // 60),
    }


def at_once(memory_bytes: int, bytes_each: int) -> int:
    """How many things of so many bytes a query within the limit may hold."""
    return max(1, (memory_bytes or WITHOUT_LIMIT) // bytes_each)


def ranges(sampled: Sequence[str]) -> Iterator[str]:
    """Conditions on customer_id that together hold for everybody exactly once, from an ordered sample."""
    ends = sampled[SAMPLED_A_SLICE - 1 :: SAMPLED_A_SLICE]
    low = ""
    for high in ends:
        yield f"customer_id <= {_literal(high)}" + (f" AND customer_id > {_literal(low)}" if low else "")
        low = high
    yield f"customer_id > {_literal(low)}" if low else "true"


def hashed(key: str, number_of_slices: int, number: int) -> str:
    """The condition for the rows whose key (SQL) falls into one of so many slices."""
    return f"sipHash64({key}) % {number_of_slices} = {number}"


def filter_settings(filters: Mapping[str, str]) -> dict[str, str]:
    """The engine's setting that makes a connection see only rows that pass the conditions on their tables."""
    pairs = ", ".join(f"{_literal(table)}: {_literal(condition)}" for table, condition in filters.items())
    return {"additional_table_filters": f"{{{pairs}}}"}


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
