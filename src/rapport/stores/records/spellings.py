"""Ids in the records, compared ignoring case: in lower case as Python has it, and lowerUTF8 of the warehouse.

The records know the lower case of ASCII only, whatever machine they are on; every other spelling is compared here.
"""

from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.orm import Session

NOT_ASCII = r"~ '[^\x01-\x7F]'"


def lower_ascii(column: str) -> str:
    """The SQL of an id in lower case, right for ids of ASCII characters."""
    return f'lower({column} COLLATE "C")'


def is_one_of(column: str) -> str:
    """The SQL of whether an id is one of :ids, which are in lower case, or of :spellings, which spellings_of finds."""
    return f"({lower_ascii(column)} = ANY(CAST(:ids AS text[])) OR {column} = ANY(CAST(:spellings AS text[])))"


def spellings_of(session: Session, tenant_id: int, table: str, column: str, ids: Iterable[str]) -> list[str]:
    """How a column of a tenant's rows spells ids (in lower case) with other characters than those of ASCII."""
    folded = set(ids)
    sql = f"SELECT DISTINCT {column} FROM {table} WHERE tenant_id = :tenant_id AND {column} {NOT_ASCII}"  # noqa: S608 - names of ours
    spellings = session.execute(text(sql), {"tenant_id": tenant_id}).scalars()
    return sorted(spelling for spelling in spellings if spelling.lower() in folded)
