"""What other packages may ask of audiences."""

from rapport.audiences.building import AttributeChoice, attribute_choices
from rapport.audiences.counting import (
    cancel_count,
    count,
    sample_now,
    size_now,
    size_target_group,
    start_count,
)
from rapport.audiences.groups import (
    archive_target_group,
    check,
    create_target_group,
    readable,
    target_group,
    target_groups,
    update_target_group,
)
from rapport.audiences.lists import ListMade, create_customer_list
from rapport.audiences.membership import compute_members, ensure_members, members, newest_snapshots, snapshot
from rapport.audiences.models import Count, Snapshot, TargetGroup
from rapport.audiences.schema import names, schema

__all__ = [
    "AttributeChoice",
    "Count",
    "ListMade",
    "Snapshot",
    "TargetGroup",
    "archive_target_group",
    "attribute_choices",
    "cancel_count",
    "check",
    "compute_members",
    "count",
    "create_customer_list",
    "create_target_group",
    "ensure_members",
    "members",
    "names",
    "newest_snapshots",
    "readable",
    "sample_now",
    "schema",
    "size_now",
    "size_target_group",
    "snapshot",
    "start_count",
    "target_group",
    "target_groups",
    "update_target_group",
]
