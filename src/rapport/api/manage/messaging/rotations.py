"""The body of calls that replace a signing secret."""

from pydantic import Field

from rapport.api.http.known import Body
from rapport.stores.outside.posting import GRACE_HOURS, LONGEST_GRACE_HOURS


class SecretRotation(Body):
    """How a secret is replaced."""

    grace_hours: float = Field(
        GRACE_HOURS,
        ge=0,
        le=LONGEST_GRACE_HOURS,
        examples=[24],
        description="How long posts are also signed with the previous secret; 0: not at all",
    )
