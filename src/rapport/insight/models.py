"""Records of insight: lifecycle stages, value segments, microsegments and the fits of the models."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import Boolean, Date, DateTime, Float, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from rapport.stores.records import Base


class LifecycleStage(Base):
    """A stage of the tenant. kind says which rule it follows and never changes; days is that rule's number."""

    __tablename__ = "lifecycle_stages"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(20))  # new, active, reactivated, churn, dormant
    name: Mapped[str] = mapped_column(String(100))
    days: Mapped[int] = mapped_column(Integer)  # 0 for active, which has no rule of its own

    __table_args__ = (UniqueConstraint("tenant_id", "kind"),)


class ValueSegment(Base):
    """A band of customers by future value; id 1 is the most valuable band, share its part of the customers."""

    __tablename__ = "value_segments"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(100))
    share: Mapped[float] = mapped_column(Float)

    __table_args__ = (UniqueConstraint("tenant_id", "name"),)


class Microsegment(Base):
    """A combination of clusters within a stage. Its figures are those of figures_date."""

    __tablename__ = "microsegments"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    stage_id: Mapped[int] = mapped_column(Integer)
    clusters: Mapped[list[int]] = mapped_column(JSONB)  # cluster ids, one a layer, in the order of layers
    name: Mapped[str] = mapped_column(String(300))
    customers: Mapped[int] = mapped_column(Integer, default=0)
    future_value: Mapped[float] = mapped_column(Float, default=0.0)
    churn_rate: Mapped[float] = mapped_column(Float, default=0.0)
    figures_date: Mapped[date | None] = mapped_column(Date)
    retired: Mapped[bool] = mapped_column(Boolean, default=False)  # not produced by the newest fit any more


class ModelFit(Base):
    """What was learned from the data of a date: the parameters that score customers, and how well they did."""

    __tablename__ = "model_fits"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)  # microsegments, future value
    data_date: Mapped[date] = mapped_column(Date, primary_key=True)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB)
    report: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    trees: Mapped[bytes | None] = mapped_column(LargeBinary)
    fitted_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Forecast(Base):
    """What was expected of each decile in the days after a date, and once they have passed, what came."""

    __tablename__ = "forecasts"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    made_on: Mapped[date] = mapped_column(Date, primary_key=True)
    days: Mapped[int] = mapped_column(Integer, primary_key=True)
    deciles: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)  # the most valuable first
    met: Mapped[bool] = mapped_column(Boolean)
