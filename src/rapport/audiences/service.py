"""What other packages may ask of audiences."""

from rapport.audiences.building import AttributeChoice, attribute_choices
from rapport.audiences.changing import ChangedCustomer, GroupChanges, changes, tell_changes
from rapport.audiences.counting import (
    cancel_count,
    check_modelled,
    count,
    reach_now,
    sample_now,
    size_now,
    size_target_group,
    start_count,
)
from rapport.audiences.exports import export_members
from rapport.audiences.groups import (
    archive_target_group,
    bind_target_groups,
    create_target_group,
    definition_of,
    readable,
    target_group,
    target_groups,
    update_target_group,
)
from rapport.audiences.lists import ListMade, create_customer_list, keep_list
from rapport.audiences.membership import compute_members, ensure_members, members, newest_snapshots, snapshot
from rapport.audiences.models import Count, DailySize, Snapshot, TargetGroup
from rapport.audiences.names import Definition, with_ids
from rapport.audiences.personal import PERSONAL_DATA
from rapport.audiences.schema import names, schema
from rapport.audiences.sizes import note_sizes, sizes_of

__all__ = [
    "PERSONAL_DATA",
    "AttributeChoice",
    "ChangedCustomer",
    "Count",
    "DailySize",
    "Definition",
    "GroupChanges",
    "ListMade",
    "Snapshot",
    "TargetGroup",
    "archive_target_group",
    "attribute_choices",
    "bind_target_groups",
    "cancel_count",
    "changes",
    "check_modelled",
    "compute_members",
    "count",
    "create_customer_list",
    "create_target_group",
    "definition_of",
    "ensure_members",
    "export_members",
    "keep_list",
    "members",
    "names",
    "newest_snapshots",
    "note_sizes",
    "reach_now",
    "readable",
    "sample_now",
    "schema",
    "size_now",
    "size_target_group",
    "sizes_of",
    "snapshot",
    "start_count",
    "target_group",
    "target_groups",
    "tell_changes",
    "update_target_group",
    "with_ids",
]
