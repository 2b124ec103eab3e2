"""What a tenant can set about transactional mail: the "transactional" member of its settings."""

from typing import Annotated

from pydantic import Field

from rapport.access.tenant_settings import TenantSettings

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class TransactionalSettings(TenantSettings):
    """Defaults keep as long as support needs to answer questions, and give a mail server half a day to come back."""

    section = "transactional"

    unique_id_days: int = Field(
        30, ge=1, le=366, description="How long the UniqueMessageID of a successful request is refused"
    )
    preview_days: int = Field(
        30, ge=0, le=366, description="How long the message log keeps what a preview needs; 0: until the message ended"
    )
    log_days: int = Field(400, ge=1, le=3660, description="How long the message log, and the metrics of it, go back")
    retry_delays: list[Seconds] = Field(
        [5, 30, 120, 600, 1800], max_length=20, description="Seconds before each retry of a temporary failure"
    )
    wait_hours: float = Field(
        12, ge=0, le=720, description="How many hours late a message may still leave when its server was away"
    )
