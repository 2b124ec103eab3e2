"""Whether what goes out is held: a copy of an installation writes to nobody until it is told to be the real one."""

import time
import weakref
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import DateTime, String, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from rapport.errors import Withheld
from rapport.stores.opened import OpenStores
from rapport.stores.records import Base, Records

OUTBOUND = "outbound"
HELD = (
    "What goes out is held (RAPPORT_OUTBOUND=off, or restored from a backup): run `rapport resume` where this "
    "installation is to send."
)
# How long an answer is good; whoever ends a hold in another process is heard after it.
SECONDS = 3.0

_known: "weakref.WeakKeyDictionary[Records, tuple[float, bool]]" = weakref.WeakKeyDictionary()


class Hold(Base):
    """What is held, and since when."""

    __tablename__ = "holds"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    backup_taken_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))  # of the backup restored


@dataclass(frozen=True)
class Reason:
    """Why what goes out is held: by the setting of this process, since a restore, or both. Times are UTC.

    since and backup_taken_at are of the restore; a hold of an earlier release does not know its backup's time.
    """

    by_setting: bool
    since: datetime | None = None
    backup_taken_at: datetime | None = None

    def __str__(self) -> str:
        causes = ["by RAPPORT_OUTBOUND=off"] if self.by_setting else []
        if self.since is not None:
            backup = f" of the backup of {self.backup_taken_at:%Y-%m-%d %H:%M:%S} UTC" if self.backup_taken_at else ""
            causes.append(f"since a restore{backup} on {self.since:%Y-%m-%d %H:%M:%S} UTC, until `rapport resume`")
        return "What goes out is held " + " and ".join(causes)


def is_held(stores: OpenStores) -> bool:
    """Whether mail, posts, triggers and the schedule wait. Raises what the records raise."""
    if stores.settings.outbound == "off":
        return True
    asked_at, held = _known.get(stores.records, (float("-inf"), False))
    if time.monotonic() - asked_at >= SECONDS:
        with stores.records.reads() as session:
            held = session.scalar(select(Hold.name).where(Hold.name == OUTBOUND)) is not None
        _known[stores.records] = time.monotonic(), held
    return held


def why_held(stores: OpenStores) -> Reason | None:
    """Why what goes out is held; None when it is not. Asks the records each time."""
    with stores.records.reads() as session:
        held = session.execute(select(Hold.since, Hold.backup_taken_at).where(Hold.name == OUTBOUND)).first()
    by_setting = stores.settings.outbound == "off"
    if held is None:
        return Reason(by_setting) if by_setting else None
    since, taken_at = held
    return Reason(by_setting, since.astimezone(UTC), taken_at.astimezone(UTC) if taken_at else None)


def require_not_held(stores: OpenStores) -> None:
    """Raises Withheld while what goes out is held."""
    if is_held(stores):
        raise Withheld(HELD, retry_after=60)


def hold(records: Records, now: datetime, backup_taken_at: datetime | None = None) -> None:
    """Hold what goes out from now on. backup_taken_at is of the backup that was restored, which may hold a hold too."""
    values = {"since": now, "backup_taken_at": backup_taken_at}
    statement = insert(Hold).values(name=OUTBOUND, **values)
    with records.session() as session:
        session.execute(statement.on_conflict_do_update(index_elements=[Hold.name], set_=values))
    _known.pop(records, None)


def resume(records: Records) -> None:
    """Let go out what was held."""
    with records.session() as session:
        session.execute(delete(Hold).where(Hold.name == OUTBOUND))
    _known.pop(records, None)
