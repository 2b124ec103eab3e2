"""How long work waits for the records, by a clock that a test moves."""

import pytest

from rapport.errors import Away
from rapport.stores import Stores
from rapport.stores.records import Records
from rapport.stores.workflows import work

HOUR = 3600.0


class Moved(work._OutageWait):
    """Patience whose pauses move a clock instead of lasting."""

    def __init__(self, hours: float) -> None:
        super().__init__()
        self.seconds, self.clock = hours * HOUR, 0.0
        self.pauses: list[float] = []

    def now(self) -> float:
        return self.clock

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        self.clock += seconds
        return False


@pytest.fixture
def nowhere() -> Records:
    """Records at an address where nobody listens."""
    return Records("postgresql://nobody@127.0.0.1:1/none")


def step(patience: Moved, away: Records, back: Records, monkeypatch: pytest.MonkeyPatch, bounded: bool = True) -> int:
    """A step that needs the records, which are back after an hour; what it came to."""
    monkeypatch.setattr(work, "_patience", patience)

    def ask() -> int:
        records = away if patience.clock < HOUR else back
        with records.reading() as connection:
            return int(connection.exec_driver_sql("SELECT 7").scalar_one())

    return work.waiting(ask, "test", bounded=bounded)()


def test_a_step_waits_an_hour(stores: Stores, nowhere: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    patience = Moved(24)
    assert step(patience, nowhere, stores.records, monkeypatch) == 7
    # Pauses double up to a minute: 1 + 2 + ... + 32 = 63 seconds, and then 59 minutes are the first beyond an hour.
    assert patience.pauses == [1, 2, 4, 8, 16, 32] + [60] * 59


def test_a_step_waits_no_longer_than_the_operator_says(
    stores: Stores, nowhere: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = Moved(0.5)
    with pytest.raises(Away):
        step(patience, nowhere, stores.records, monkeypatch)
    assert HOUR / 2 - 60 < patience.clock <= HOUR / 2


def test_the_end_of_work_is_noted_however_long_that_takes(
    stores: Stores, nowhere: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = Moved(0.5)
    assert step(patience, nowhere, stores.records, monkeypatch, bounded=False) == 7
    assert patience.clock >= HOUR
