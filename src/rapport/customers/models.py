"""Records of customers: the attributes a tenant has beyond the built-in batch schema."""

from datetime import datetime

from sqlalchemy import Boolean, DateTime, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from rapport.stores.records import Base


class Attribute(Base):
    """A customer attribute: a column of profiles (and of customers when batch or API writes it)."""

    __tablename__ = "attributes"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    real_field_name: Mapped[str] = mapped_column(String(128), primary_key=True)
    alias: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(String(1000), default="")
    field_type: Mapped[str] = mapped_column(String(20))
    source: Mapped[str] = mapped_column(String(20))
    is_pii: Mapped[bool] = mapped_column(Boolean, default=False)
    api_updatable: Mapped[bool] = mapped_column(Boolean, default=False)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
