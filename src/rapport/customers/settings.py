"""What a tenant can set about files and what they hold: the members "files" and "transactions" of its settings."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rapport.access.scope import Scope
from rapport.access.tenant_settings import TenantSettings, settings_or_defaults
from rapport.conditions.purchases import MINUS, NONE, PLUS, USUAL_SIGNS, ValueRule
from rapport.conditions.text import fold

MOST_TYPES = 200


class FileSettings(TenantSettings):
    """Defaults stop a full load that looks cut off."""

    section = "files"

    removal_share: float = Field(
        0.2, ge=0, le=1, description="Share of what is stored that a full load may remove without being confirmed"
    )


class Value(StrEnum):
    """What transactions of a type count as."""

    PLUS = "plus"
    MINUS = "minus"
    NONE = "none"


SIGNS = {Value.PLUS: PLUS, Value.MINUS: MINUS, Value.NONE: NONE}
TypeName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")]


class TransactionSettings(TenantSettings):
    """Defaults suit shops: all transactions are orders but withdrawals and bonuses, and refunds are taken away."""

    section = "transactions"

    types: dict[TypeName, Value] = Field(
        {}, max_length=MOST_TYPES, description="What transactions count as by their type: plus, minus or none"
    )
    other_types: Literal["plus", "none"] = Field(
        "plus", description="What transactions of all other types count as: plus or none"
    )
    minus_property: str = Field(
        "",
        max_length=100,
        pattern=r"^[^\x00]*$",
        description="Property of an order whose number is taken from its amount, such as Payout",
    )

    @model_validator(mode="after")
    def _has_orders(self) -> Self:
        names = [fold(name.strip()) for name in self.types]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"types names {twice[0]!r} more than once: case does not matter in types.")
        if self.other_types == "none" and Value.PLUS not in self.types.values():
            raise ValueError("types must have at least one type that is plus if other_types is none.")
        return self


def value_rule(scope: Scope) -> ValueRule:
    """What the types of a tenant's transactions count as."""
    settings = settings_or_defaults(scope, TransactionSettings)
    own_signs = {fold(name.strip()): SIGNS[value] for name, value in settings.types.items()}
    return ValueRule(USUAL_SIGNS | own_signs, SIGNS[Value(settings.other_types)], settings.minus_property)
