"""What several packages go by is written down in one place."""

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "rapport"
# What is defined, where, and a text by which somebody would define it again.
DEFINITIONS = {
    "which transactions count": ("conditions/purchases.py", r"['\"](void|cancelled|withdrawal)['\"]"),
    "codes of interactions": (
        "conditions/interaction_codes.py",
        r"event_id (=|IN) \(?[0-9]|\b(SENT|DELIVERED|OPENED|CLICKED|UNSUBSCRIBED|DROPPED|BOUNCED)\b.* = [0-9r]",
    ),
    "how settings of a tenant are read": ("access/tenant_settings.py", r"\bscope\.settings\b"),
    "statements about advisory locks": ("stores/records/locks.py", r"pg_(try_)?advisory"),
}
# The same words of another thing.
OTHERS = {"customers/consent.py": "cancelled is a word by which somebody takes a consent back"}


@pytest.mark.parametrize("what", DEFINITIONS)
def test_a_definition_has_one_place(what: str) -> None:
    place, text = DEFINITIONS[what]
    assert re.search(text, (SOURCE / place).read_text())
    paths = {path.relative_to(SOURCE).as_posix(): path for path in SOURCE.rglob("*.py")}
    again = [name for name, path in paths.items() if re.search(text, path.read_text()) and name not in OTHERS]
    assert again == [place], f"{what} is written in {place}: import it"


def test_ids_compare_ignoring_case_as_stores_spellings_says() -> None:
    """lowerUTF8 in the warehouse, lower_ascii in the records: plain lower() depends on the engine and its machine."""
    text = re.compile(r"\blower\((\w+\.)?(customer_id|visitor_id)\b")
    paths = (path for path in SOURCE.rglob("*.py") if "records_migrations" not in path.parts)
    assert [path.relative_to(SOURCE).as_posix() for path in paths if text.search(path.read_text())] == []
