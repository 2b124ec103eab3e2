"""Which backups were written whole: the last good one is asked about by metrics and the doctor."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Integer, Text, delete, func, select
from sqlalchemy.orm import Mapped, mapped_column

from rapport.stores.backups.backup import Written
from rapport.stores.records import Base, Records

MOST_KEPT = 100


class BackupEntry(Base):
    """A backup that was written whole. taken_at is when it was begun: it holds what was accepted until then."""

    __tablename__ = "backups"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    taken_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    path: Mapped[str] = mapped_column(Text)
    bytes: Mapped[int] = mapped_column(BigInteger)
    rows: Mapped[int] = mapped_column(BigInteger)


def note(records: Records, taken_at: datetime, written: Written) -> None:
    """Enter a backup; of old entries the oldest go."""
    rows = sum(sum(tables.values()) for tables in written.rows.values())
    with records.session() as session:
        session.add(BackupEntry(taken_at=taken_at, path=written.path, bytes=written.bytes, rows=rows))
        session.flush()
        newest = select(func.max(BackupEntry.id)).scalar_subquery()
        session.execute(delete(BackupEntry).where(BackupEntry.id <= newest - MOST_KEPT))


def last(records: Records) -> BackupEntry | None:
    """The backup that was written last; None before the first."""
    with records.reads() as session:
        return session.scalar(select(BackupEntry).order_by(BackupEntry.id.desc()).limit(1))
