"""What promotions and their tenants consist of, as they are stored and as clients write it.

Members are camelCase in JSON and bind in any case; dates and numbers are checked where their type is known.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import SchemaError

from rapport.conditions.language.json_schema import ConditionJson
from rapport.promotions.states import PropertyType, RewardCategory, Source

MOST_PROPERTIES, MOST_TIERS, MOST_REWARDS, MOST_REWARD_TYPES = 500, 100, 20, 200
LARGEST = 10**15
KEY = r"^[A-Za-z][A-Za-z0-9_]{0,99}$"

Id = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\s/?#\x00-\x1f\x7f]+$")]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")]
Text = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")]
Key = Annotated[str, Field(pattern=KEY)]
Number = Annotated[float, Field(strict=True, ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]


@lru_cache(maxsize=500)
def matching(pattern: str) -> TypeAdapter[str]:
    """What validates texts that match a regular expression, in time that grows with the text only.

    Raises SchemaError for what is no regular expression, or one that looks around or back.
    """
    return TypeAdapter(Annotated[str, Field(pattern=pattern)])


class Definition(BaseModel):
    """A part of a promotion or of its tenant. Unknown members are refused: a misspelt one would decide nothing."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _in_any_case(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        names = {(info.alias or name).lower(): info.alias or name for name, info in cls.model_fields.items()}
        return {names.get(str(key).replace("_", "").lower(), key): value for key, value in data.items()}

    def document(self) -> dict[str, Any]:
        """The JSON that clients read and that is stored."""
        return self.model_dump(mode="json", by_alias=True)


def _is_absent(bound: object) -> bool:
    return bound is None


class Constraints(Definition):
    """What the values of a property must also fulfil: enum lists those allowed, min and max are inclusive.

    JSON has only those that there are.
    """

    enum: list[str | bool | Number] | None = Field(None, exclude_if=_is_absent)
    min: Number | None = Field(None, exclude_if=_is_absent)
    max: Number | None = Field(None, exclude_if=_is_absent)
    max_length: Annotated[int, Field(strict=True, ge=1, le=10_000)] | None = Field(None, exclude_if=_is_absent)
    pattern: Text | None = Field(None, exclude_if=_is_absent)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min must not be above max")
        if self.pattern is not None:
            try:
                matching(self.pattern)
            except SchemaError as error:
                raise ValueError("pattern is not a regular expression that is known here") from error
        return self


UNCONSTRAINED = Constraints()


def _is_unconstrained(constraints: Constraints) -> bool:
    return constraints == UNCONSTRAINED


class PropertyDefinition(Definition):
    """A property that conditions may compare, or that promotions may carry.

    A customer property is the attribute of the same name, or the one that attribute names; with measure it is the
    measure of a history, written as a condition on a history without operator and value.
    """

    key: Key
    display_name: Text | None = None
    type: PropertyType
    required: bool = False
    constraints: Constraints = Field(UNCONSTRAINED, exclude_if=_is_unconstrained)
    attribute: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    measure: ConditionJson | None = None


class RewardType(Definition):
    """What promotions may grant. min and max bound every reward of this type, in any promotion."""

    key: Key
    name: Name
    display_name: Text | None = None
    description: Text | None = None
    image_url: Text | None = None
    category: RewardCategory
    constraints: Constraints = Field(UNCONSTRAINED, exclude_if=_is_unconstrained)


class Fixed(Definition):
    """The same reward for everybody."""

    type: Literal["fixed"]
    value: Annotated[Number, Field(ge=0)]


class Percentage(Definition):
    """A percentage of a numeric property of the customer or of the session, at least min and at most max."""

    type: Literal["percentage"]
    of: Key
    source: Source | None = None  # the one that has the property, where only one has
    percent: Annotated[Number, Field(gt=0, le=1_000_000)]
    min: Annotated[Number, Field(ge=0)] | None = None
    max: Annotated[Number, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min must not be above max")
        return self


class Reward(Definition):
    """A reward of a tier, and how its value is found."""

    reward_type: Key
    calculation: Annotated[Fixed | Percentage, Field(discriminator="type")]


class Tree(Definition):
    """A condition tree, flat: each branch may name an earlier one as its parent. Without branches it is always true.

    trees.tree_of reads the branches.
    """

    branches: list[Any] = []

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, data: Any) -> Any:
        return {"branches": data} if isinstance(data, list) else data


class Tier(Definition):
    """A grade of a promotion. The first tier whose conditions a customer meets decides the rewards."""

    id: Id | None = None
    name: Name
    condition_tree: Tree
    rewards: Annotated[list[Reward], Field(max_length=MOST_REWARDS)] = []


def by_key(definitions: Sequence[PropertyDefinition]) -> dict[str, PropertyDefinition]:
    """Properties by their keys in lower case."""
    return {definition.key.lower(): definition for definition in definitions}
