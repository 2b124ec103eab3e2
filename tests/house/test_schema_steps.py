"""The steps of the records' schema are one chain: two with one number, or after one step, can only be seen together."""

import re
from collections import Counter
from pathlib import Path

VERSIONS = Path(__file__).parents[2] / "src" / "rapport" / "stores" / "records_migrations" / "versions"
REVISION = re.compile(r'^revision(?:: str)? = "(\d{4})"$', re.M)
DOWN = re.compile(r'^down_revision(?:: [^=]+)? = (?:"(\d{4})"|None)$', re.M)


def steps() -> dict[str, tuple[str, str]]:
    """The number of each step and that of the one before it (empty for the first), by file."""
    texts = {path.name: path.read_text() for path in sorted(VERSIONS.glob("[0-9]*.py"))}
    return {name: (REVISION.findall(text)[0], DOWN.findall(text)[0]) for name, text in texts.items()}


def test_every_step_has_its_number_and_follows_another() -> None:
    assert len(steps()) > 50
    assert [name for name, (revision, _) in steps().items() if not name.startswith(f"{revision}_")] == []
    revisions, before = (Counter(column) for column in zip(*steps().values(), strict=True))
    assert [number for number, times in revisions.items() if times > 1] == []
    assert [number for number, times in before.items() if times > 1] == []
    assert set(before) - set(revisions) == {""}
    assert all(earlier < revision for revision, earlier in steps().values())
