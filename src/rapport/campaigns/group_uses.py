"""Which campaigns and journeys go by a target group: while one does, the group stays in use."""

from collections.abc import Iterator

from sqlalchemy import select

from rapport import conditions
from rapport.access.scope import Scope
from rapport.audiences import groups
from rapport.audiences.models import TargetGroup
from rapport.campaigns.models import Series
from rapport.campaigns.states import SeriesStatus
from rapport.campaigns.triggered.uses import uses
from rapport.errors import Conflict


def archive_target_group(scope: Scope, target_group_id: int) -> TargetGroup:
    """Take a group out of use that no campaign, journey or other group goes by. Raises NotFound, Conflict."""
    groups.target_group(scope, target_group_id)
    for user, kind in _users(scope, target_group_id):
        raise Conflict(f"{user} uses target group {target_group_id}: archive the {kind} or change it first.")
    return groups.archive_target_group(scope, target_group_id)


def _users(scope: Scope, target_group_id: int) -> Iterator[tuple[str, str]]:
    """Series, triggered campaigns and journeys that may still go on, and what each is; a one-time campaign has its list
    already.
    """
    query = select(Series).where(
        Series.tenant_id == scope.tenant_id, Series.status != SeriesStatus.ARCHIVED, Series.customer_list_id.is_(None)
    )
    with scope.reads() as session:
        for series in session.scalars(query.order_by(Series.id)):
            if target_group_id in _groups(series):
                yield f"Series {series.id}" if series.trigger is None else f"Triggered campaign {series.id}", "campaign"
    for use in uses(scope):
        if target_group_id in use.followed_groups.union(*map(conditions.groups_in, use.conditions)):
            yield f"{use.user[0].upper()}{use.user[1:]}", "journey"


def _groups(series: Series) -> set[int]:
    """The groups whose members a series reaches, leaves out or asks for."""
    definition = series.customer_conditions
    condition_groups = conditions.groups_in(conditions.parse(definition)) if definition else set()
    return {series.target_group_id, *series.rules.exclude_target_group_ids, *condition_groups}
