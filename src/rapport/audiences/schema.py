"""What a tenant's conditions are compared against, and how its things are called."""

from datetime import date, timedelta

from sqlalchemy import select, text

from rapport.access.scope import Scope
from rapport.audiences.models import TargetGroup
from rapport.audiences.queries import CAMPAIGNS_OF_SERIES
from rapport.conditions import FIELD_KINDS, Column, Names, Schema
from rapport.customers import service as customers

PERCENTILE = "_PERCENTILE"


def schema(scope: Scope, data_date: date | None = None) -> Schema:
    """The schema of a data date: the newest when None, yesterday before the first."""
    return Schema(
        attributes={
            name: Column(
                info.real_field_name,
                FIELD_KINDS[info.field_type],
                PERCENTILE in name,
                info.consent.word if info.consent else None,
            )
            for name, info in customers.attributes(scope).items()
        },
        data_date=data_date or current_date(scope),
        time_zone=scope.time_zone,
        campaigns_of=lambda series_id: _campaigns_of(scope, series_id),
    )


def current_date(scope: Scope) -> date:
    """The data date that "now" means: the newest, or yesterday before the first."""
    return scope.data_date() or scope.today() - timedelta(days=1)


def _campaigns_of(scope: Scope, series_id: int) -> list[int]:
    bound = {"tenant_id": scope.tenant_id, "series_id": series_id}
    with scope.records() as session:
        return list(session.scalars(text(CAMPAIGNS_OF_SERIES), bound))


def names(scope: Scope) -> Names:
    """Aliases of attributes and names of target groups, for sentences."""
    chosen = select(TargetGroup.id, TargetGroup.name).where(TargetGroup.tenant_id == scope.tenant_id)
    with scope.records() as session:
        groups = {row.id: row.name for row in session.execute(chosen)}
    aliases = {name: info.alias for name, info in customers.attributes(scope).items()}
    return Names(attributes=aliases, groups=groups)
