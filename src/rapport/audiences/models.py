"""Records of audiences: target groups, their snapshots, customer lists, counts asked for."""

from datetime import date, datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Boolean, Date, DateTime, Float, Index, Integer, String, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from rapport.audiences.states import CountState
from rapport.conditions import Condition, parse
from rapport.stores.records import Base
from rapport.stores.records.shapes import Member


class TargetGroup(Base):
    """Saved selection criteria. The name is unique among the groups that are not archived, ignoring case."""

    __tablename__ = "target_groups"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(200))
    priority: Mapped[int] = mapped_column(Integer)  # the lower number goes first
    definition: Mapped[dict[str, Any]] = mapped_column(JSONB)
    depends_on: Mapped[list[int]] = mapped_column(JSONB, default=list)  # groups that the definition names
    archived: Mapped[bool] = mapped_column(Boolean, default=False)
    version: Mapped[int] = mapped_column(Integer, default=1)
    # Whether listeners are told, after each day, how many came and went.
    tells_changes: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    size: Mapped[int | None] = mapped_column(Integer)
    size_date: Mapped[date | None] = mapped_column(Date)  # the data date that was counted
    sized_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index(
            "uq_target_groups_name", "tenant_id", func.lower(text("name")), unique=True, postgresql_where="NOT archived"
        ),
    )

    @cached_property
    def condition(self) -> Condition:
        """The definition, parsed once. Raises Invalid for one that earlier versions allowed."""
        return parse(self.definition)


class Snapshot(Base):
    """That the members of a group are stored for a data date, computed from these versions of it and of those it
    depends on (by id)."""

    __tablename__ = "target_group_snapshots"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    target_group_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    data_date: Mapped[date] = mapped_column(Date, primary_key=True)
    versions: Mapped[dict[str, int]] = mapped_column(JSONB)
    size: Mapped[int] = mapped_column(Integer)
    computed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class DailySize(Base):
    """How many customers a group had on a data date, by the definition of this version."""

    __tablename__ = "target_group_sizes"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    target_group_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    data_date: Mapped[date] = mapped_column(Date, primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    size: Mapped[int] = mapped_column(Integer)


class CustomerList(Base):
    """A named list of customers that stands as a target group."""

    __tablename__ = "customer_lists"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(200))
    target_group_id: Mapped[int] = mapped_column(Integer)
    size: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Count(Base):
    """A count that somebody asked for: running, done, canceled or failed. The newest done one is the cached answer."""

    __tablename__ = "target_group_counts"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))  # of the definition and the versions of the groups it names
    data_date: Mapped[date] = mapped_column(Date)
    state: Mapped[CountState] = mapped_column(Member(CountState, 10))
    size: Mapped[int | None] = mapped_column(Integer)
    seconds: Mapped[float | None] = mapped_column(Float)
    error: Mapped[str] = mapped_column(Text, default="")
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index("ix_target_group_counts_digest", "tenant_id", "digest", "data_date"),)
