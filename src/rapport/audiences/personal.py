"""What audiences hold of persons: in which groups and lists they are."""

from rapport.access.personal_data import PersonalData

PERSONAL_DATA = PersonalData(
    "audiences", warehouse={"target_group_members": ("customer_id",), "customer_lists": ("customer_id",)}
)
