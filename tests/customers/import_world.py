"""What tests of imports share: a file from text, and a load of it."""

import itertools
import time
from pathlib import Path

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.customers.importing import imports
from rapport.customers.importing.imports import ImportResult
from rapport.stores import Stores

NUMBERS = itertools.count()


def tenant(stores: Stores, time_zone: str = "Europe/Berlin") -> Scope:
    """A tenant that nothing was imported into."""
    return create_tenant(stores, f"imports-{time.time_ns()}-{next(NUMBERS)}", time_zone, "EUR")


def load(scope: Scope, folder: Path, kind: str, text: str | bytes, **more: object) -> ImportResult:
    """Import a text; `suffix` names the format."""
    path = folder / f"file-{next(NUMBERS)}.{more.pop('suffix', 'csv')}"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return imports.import_file(scope, kind, path, **more)  # type: ignore[arg-type]


def values(scope: Scope, *names: str) -> list[tuple[object, ...]]:
    """CustomerIDs with attributes, as they are stored."""
    columns = ", ".join(["customer_id", *names])
    return scope.warehouse.rows(f"SELECT {columns} FROM customers ORDER BY customer_id")


def codes(result: ImportResult) -> dict[str, int]:
    """The warnings of an import: code to count."""
    return {one["code"]: one["count"] for one in result.warnings}
