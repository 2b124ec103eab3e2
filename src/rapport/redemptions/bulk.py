"""Many codes of a pool at once, generated or imported: all or none, in one transaction."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.errors import Conflict, Invalid
from rapport.promotions.codes import code_key
from rapport.promotions.states import PromotionStatus
from rapport.redemptions.code_texts import drawn, require_unguessable
from rapport.redemptions.definitions import CODE, LONGEST_CODE, SHORTEST_CODE
from rapport.redemptions.pools import pool
from rapport.redemptions.states import PoolKind

MOST_CODES = 1_000_000
MOST_TOLD = 5
# Codes that are there already are drawn anew. With the odds of code_texts a second time is nearly always enough.
MOST_DRAWS = 5
BLOCK = 50_000
HEADERS = {"code", "codes", "promocode", "promo_code", "promo code"}
NO_TEXT = "file is not text in UTF-8: save it as UTF-8."
EMPTY = "file has no codes: it is empty, or has only a header."
STAGE = text("CREATE TEMPORARY TABLE new_codes (code_key text NOT NULL, code text NOT NULL) ON COMMIT DROP")
COPY = "COPY new_codes (code_key, code) FROM STDIN"
OF_PROMOTION = """
    EXISTS (
        SELECT 1 FROM promotions AS promotion
        WHERE promotion.tenant_id = :tenant_id AND promotion.code_key = new_codes.code_key
            AND promotion.status <> :archived
    )
"""
ENTER = text(f"""
    INSERT INTO pool_codes (tenant_id, code_key, code, pool_id)
    SELECT :tenant_id, code_key, code, :pool_id FROM new_codes WHERE NOT {OF_PROMOTION}
    ON CONFLICT DO NOTHING
""")  # noqa: S608 - ours
TWICE = text(f"""
    SELECT min(new_codes.code) AS code FROM new_codes
    GROUP BY new_codes.code_key
    HAVING count(*) > 1 OR {OF_PROMOTION} OR EXISTS (
        SELECT 1 FROM pool_codes AS other
        WHERE other.tenant_id = :tenant_id AND other.code_key = new_codes.code_key
    )
    ORDER BY code LIMIT :most
""")  # noqa: S608 - ours


def generate(scope: Scope, pool_id: str, count: int, length: int, prefix: str = "", *, has_check: bool = False) -> int:
    """Put new codes into a unique pool: a prefix, `length` drawn letters, and a check character if wanted.

    Raises NotFound, Conflict, and Invalid for more than MOST_CODES or for codes that could be guessed.
    """
    _require_unique(scope, pool_id)
    if not 1 <= count <= MOST_CODES:
        raise Invalid(f"count must be 1 to {MOST_CODES:,}.")
    if len(prefix) + length + has_check > LONGEST_CODE or (prefix and not re.fullmatch(CODE, prefix)):
        raise Invalid(f"prefix must have no blanks and quotes, and a code at most {LONGEST_CODE} characters.")
    require_unguessable(count, length)
    with scope.records() as session:
        session.execute(STAGE)
        missing = count
        for _ in range(MOST_DRAWS):
            _stage(session, _drawn(missing, length, prefix, has_check=has_check))
            missing -= _enter(scope, session, pool_id)
            if not missing:
                break
            session.execute(text("TRUNCATE new_codes"))
        else:
            raise Conflict(f"{missing:,} codes were there already each time: give another prefix or length.")
        scope.audit(session, "generate", f"promo code {pool_id}", codes=count)
    return count


def _drawn(count: int, length: int, prefix: str, *, has_check: bool) -> Iterator[str]:
    for begin in range(0, count, BLOCK):
        yield from drawn(min(BLOCK, count - begin), length, prefix, has_check=has_check)


def import_codes(scope: Scope, pool_id: str, file: IO[str]) -> int:
    """Put the codes of a file, one a line, into a unique pool; how many there are.

    Raises NotFound, Invalid that names the line of what is no code, and Conflict that names codes that are there twice,
    or in any pool of the tenant.
    """
    _require_unique(scope, pool_id)
    with scope.records() as session:
        session.execute(STAGE)
        count = _stage(session, _read(file))
        if not count:
            raise Invalid(EMPTY)
        with session.begin_nested() as entering:
            entered = _enter(scope, session, pool_id)
            if entered != count:
                entering.rollback()
        if entered != count:
            raise Conflict(_twice(scope, session))
        scope.audit(session, "import", f"promo code {pool_id}", codes=count)
    return count


def _require_unique(scope: Scope, pool_id: str) -> None:
    if pool(scope, pool_id).kind != PoolKind.UNIQUE:
        raise Conflict(f"Promo code {pool_id!r} is global: it has one code.")


def _read(file: IO[str]) -> Iterator[str]:
    """The codes of a file. Raises Invalid."""
    allowed, count = re.compile(CODE), 0
    try:
        for number, line in enumerate(file, 1):
            code = line.strip().strip('"')
            if not code or (number == 1 and code.lower() in HEADERS):
                continue
            if not SHORTEST_CODE <= len(code) <= LONGEST_CODE or not allowed.fullmatch(code):
                raise Invalid(
                    f"Line {number} is no code of {SHORTEST_CODE} to {LONGEST_CODE} characters without blanks: "
                    f"{code[:60]!r}."
                )
            count += 1
            if count > MOST_CODES:
                raise Invalid(f"file has more than {MOST_CODES:,} codes: send it in parts.")
            yield code
    except UnicodeDecodeError as error:
        raise Invalid(NO_TEXT) from error


def _stage(session: Session, codes: Iterable[str]) -> int:
    """Put codes aside for the transaction; how many they are."""
    connection = session.connection().connection.driver_connection
    assert connection is not None  # noqa: S101 - tells the type checker
    rest, count = iter(codes), 0
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        while block := list(islice(rest, BLOCK)):
            count += len(block)
            rows = "".join(f"{code_key(code)}\t{code}\n" for code in block)
            copy.write(rows.replace("\\", "\\\\"))
    return count


def _enter(scope: Scope, session: Session, pool_id: str) -> int:
    """Enter those that are free; how many they are."""
    parameters = {"tenant_id": scope.tenant_id, "pool_id": pool_id, "archived": PromotionStatus.ARCHIVED}
    entered = session.execute(ENTER, parameters)
    return entered.rowcount if isinstance(entered, CursorResult) else 0


def _twice(scope: Scope, session: Session) -> str:
    parameters = {"tenant_id": scope.tenant_id, "most": MOST_TOLD + 1, "archived": PromotionStatus.ARCHIVED}
    codes = list(session.scalars(TWICE, parameters))
    listed = ", ".join(repr(code) for code in codes[:MOST_TOLD]) + (", ..." if len(codes) > MOST_TOLD else "")
    return f"These codes are twice in the file, or there already: {listed}. Nothing was imported."
