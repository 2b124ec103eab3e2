"""Rate plans: how much mail may leave for each provider, growing by the day while a sender is new to it (warm-up)."""

from datetime import date

from pydantic import BaseModel, ConfigDict, Field, field_validator


class RateRule(BaseModel):
    """How much mail domains take: together where they are named, each by itself where the rule is for all others.

    per_hour: messages an hour on the first day, the second and so on; the last number holds from then on.
    """

    model_config = ConfigDict(extra="forbid")

    domains: list[str] = Field(default_factory=list, max_length=200)
    per_hour: list[int] = Field(min_length=1, max_length=100)

    @field_validator("domains")
    @classmethod
    def _lower(cls, value: list[str]) -> list[str]:
        return [domain.strip().lower() for domain in value]

    @field_validator("per_hour")
    @classmethod
    def _positive(cls, value: list[int]) -> list[int]:
        if min(value) < 1:
            raise ValueError("must be numbers of 1 and more")
        return value


class RatePlan(BaseModel):
    """How much mail may leave for each provider, from a day on (YYYY-MM-DD, UTC); the first rule for a domain holds."""

    model_config = ConfigDict(extra="forbid")

    start_date: str = Field(max_length=10)
    rules: list[RateRule] = Field(min_length=1, max_length=50)

    @field_validator("start_date")
    @classmethod
    def _day(cls, value: str) -> str:
        return date.fromisoformat(value).isoformat()

    def allowed(self, domain: str, today: date) -> tuple[str, int] | None:
        """What a domain shares with others, by name, and the messages an hour for all of them; None for no limit."""
        day = max((today - date.fromisoformat(self.start_date)).days, 0)
        for rule in self.rules:
            if not rule.domains or domain in rule.domains:
                return (rule.domains or [domain])[0], rule.per_hour[min(day, len(rule.per_hour) - 1)]
        return None
