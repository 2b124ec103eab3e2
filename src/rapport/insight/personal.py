"""What insight holds of persons: the model's results of each day, and recommended products."""

from rapport.access.personal_data import PersonalData

PERSONAL_DATA = PersonalData(
    "insight", warehouse={"model_results": ("customer_id",), "product_recommendations": ("customer_id",)}
)
