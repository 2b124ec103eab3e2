"""What a tenant can set about the daily model: the "insight" member of its settings."""

from pydantic import Field

from rapport.access.tenant_settings import TenantSettings


class InsightSettings(TenantSettings):
    """Defaults suit a retailer with a few orders a customer and year."""

    section = "insight"

    profile_days: int = Field(3, ge=2, le=400, description="Days of whole profiles kept; the changers compare them")
    model_result_days: int = Field(400, ge=2, le=4000, description="Days of model results kept")
    microsegment_refit_days: int = Field(90, ge=1, description="Days after which a stage is clustered anew")
    future_value_refit_days: int = Field(30, ge=1, description="Days after which the value models are fitted anew")
    trees: bool = Field(True, description="Whether gradient-boosted trees compete with the probability model")
    recommended_products: int = Field(2000, ge=10, le=20_000, description="Most sold products that are recommended")
    recommendation_pairs: int = Field(5_000_000, ge=1000, description="Pairs bought by a customer that are counted")
