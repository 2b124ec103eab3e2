"""Rate plans: how much mail may leave for each provider, growing by the day while a sender is new to it (warm-up)."""

from collections.abc import Collection, Sequence
from datetime import date

from pydantic import BaseModel, ConfigDict, Field, field_validator


class RateRule(BaseModel):
    """How much mail domains take: together where they are named, each by itself where the rule is for all others.

    mail_servers names domains by who takes their mail: hosts of their MX records, or what those are below, such as
    google.com. per_hour: messages an hour on the first day, the second and so on; the last number holds from then on.
    """

    model_config = ConfigDict(extra="forbid")

    domains: list[str] = Field(default_factory=list, max_length=200)
    mail_servers: list[str] = Field(default_factory=list, max_length=50)
    per_hour: list[int] = Field(min_length=1, max_length=100)

    @field_validator("domains", "mail_servers")
    @classmethod
    def _lower(cls, value: list[str]) -> list[str]:
        return [name.strip().strip(".").lower() for name in value]

    @field_validator("per_hour")
    @classmethod
    def _positive(cls, value: list[int]) -> list[int]:
        if min(value) < 1:
            raise ValueError("must be numbers of 1 and more")
        return value

    @property
    def name(self) -> str:
        """What those that share its numbers are called; empty where each domain has them by itself."""
        return next(iter((*self.domains, *self.mail_servers)), "")

    def covers(self, domain: str, hosts: Sequence[str]) -> bool:
        """Whether it holds for a domain whose mail these hosts take."""
        if domain in self.domains or not self.name:
            return True
        return any(f".{host}".endswith(f".{server}") for host in hosts for server in self.mail_servers)


class RatePlan(BaseModel):
    """How much mail may leave for each provider, from a day on (YYYY-MM-DD, UTC); the first rule for a domain holds."""

    model_config = ConfigDict(extra="forbid")

    start_date: str = Field(max_length=10)
    rules: list[RateRule] = Field(min_length=1, max_length=50)

    @field_validator("start_date")
    @classmethod
    def _day(cls, value: str) -> str:
        return date.fromisoformat(value).isoformat()

    def allowed(self, domain: str, today: date, hosts: Sequence[str] = ()) -> tuple[str, int] | None:
        """What a domain shares with others, by name, and the messages an hour for all of them; None for no limit.

        hosts are those that take its mail.
        """
        day = max((today - date.fromisoformat(self.start_date)).days, 0)
        for rule in self.rules:
            if rule.covers(domain, hosts):
                return rule.name or domain, rule.per_hour[min(day, len(rule.per_hour) - 1)]
        return None

    def undecided(self, domains: Collection[str]) -> list[str]:
        """The domains whose rule depends on who takes their mail."""
        return [domain for domain in domains if self._asks(domain)]

    def _asks(self, domain: str) -> bool:
        for rule in self.rules:
            if domain in rule.domains:
                return False
            if rule.mail_servers:
                return True
        return False
