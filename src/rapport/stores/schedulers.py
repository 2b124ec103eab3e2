"""Word to the schedulers of all processes, which sleep until something is due, that something new may be."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

TOLD = "rapport_schedule"


def wake(session: Session, tenant_id: int) -> None:
    """Have every scheduler look at a tenant once the transaction of a change has committed."""
    session.execute(select(func.pg_notify(TOLD, str(tenant_id))))
