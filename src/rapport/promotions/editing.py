"""Promotions and the commands that change them: which status allows which, and what each does.

A condition tree and tiers decide rewards, so they change only before the first activation. Properties are locked while
a promotion is active. A promotion that is archived only can be read and duplicated.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.audiences.schema import schema
from rapport.errors import Conflict, Invalid, NotFound
from rapport.promotions.changing import Change, bound, run_commands
from rapport.promotions.codes import code_key
from rapport.promotions.definitions import MOST_TIERS, Definition, Id, Name, Percentage, Reward, Text, Tier, Tree
from rapport.promotions.evaluation import compiled, with_given
from rapport.promotions.models import Promotion, PromotionTenant, PromotionVersion
from rapport.promotions.properties import Properties, checked_values
from rapport.promotions.states import PromotionStatus, PropertyType, Source, TenantStatus
from rapport.promotions.tenants import LOCK, properties_of, reward_types_of
from rapport.promotions.trees import document, tree_of
from rapport.stores.parts import Part, part
from rapport.stores.records import hold

DRAFT, ACTIVE, DEACTIVATED = PromotionStatus.DRAFT, PromotionStatus.ACTIVE, PromotionStatus.DEACTIVATED
# In which states a command may run.
ALLOWED: Mapping[str, tuple[PromotionStatus, ...]] = {
    "setMetadata": (DRAFT, ACTIVE, DEACTIVATED),
    "setProperties": (DRAFT, DEACTIVATED),
    "setConditionTree": (DRAFT,),
    "setPromotionTiers": (DRAFT,),
    "activate": (DRAFT, DEACTIVATED),
    "deactivate": (ACTIVE,),
    "archive": (DRAFT, ACTIVE, DEACTIVATED),
}


class Create(Definition):
    """Create a promotion, as a draft. code is what the company's own promotion system calls it."""

    type: Literal["create"] = "create"
    id: Id | None = None
    name: Name
    code: Name
    description: Text | None = None


class Duplicate(Definition):
    """What a copy of a promotion does not have of its source; without name it has that of the source."""

    id: Id | None = None
    code: Name
    name: Name | None = None


class SetMetadata(Definition):
    """Change name or description; what is left out stays."""

    type: Literal["setMetadata"] = "setMetadata"
    name: Name | None = None
    description: Text | None = None


class SetProperties(Definition):
    """Replace the values of the promotion's own properties."""

    type: Literal["setProperties"] = "setProperties"
    properties: dict[str, Any]


class SetConditionTree(Definition):
    """Replace the conditions that come before those of the tiers."""

    type: Literal["setConditionTree"] = "setConditionTree"
    condition_tree: Tree


class SetPromotionTiers(Definition):
    """Replace the tiers, in order of priority."""

    type: Literal["setPromotionTiers"] = "setPromotionTiers"
    promotion_tiers: list[Tier]


class Activate(Definition):
    """Let customers be validated, and campaigns choose it."""

    type: Literal["activate"] = "activate"


class Deactivate(Definition):
    """Suspend it."""

    type: Literal["deactivate"] = "deactivate"


class Archive(Definition):
    """Retire it for good; its history stays."""

    type: Literal["archive"] = "archive"


COMMANDS: tuple[type[Definition], ...] = (
    Create,
    SetMetadata,
    SetProperties,
    SetConditionTree,
    SetPromotionTiers,
    Activate,
    Deactivate,
    Archive,
)


def promotion(scope: Scope, id: str) -> Promotion:
    """A promotion by its id. Raises NotFound."""
    with scope.reads() as session:
        stored = session.scalar(_of(scope).where(Promotion.id == id))
    if stored is None:
        raise NotFound(f"There is no promotion {id!r}.")
    return stored


def _of(scope: Scope) -> Select[Promotion]:
    return select(Promotion).where(Promotion.tenant_id == scope.tenant_id)


def promotions(scope: Scope, status: PromotionStatus | None, limit: int, offset: int) -> Part[Promotion]:
    """Promotions, the newest first; of one status if it is given."""
    query = _of(scope) if status is None else _of(scope).where(Promotion.status == status)
    with scope.reads() as session:
        return part(session, query.order_by(Promotion.created_at.desc(), Promotion.id), limit, offset)


def versions(scope: Scope, id: str, limit: int, offset: int) -> Part[PromotionVersion]:
    """How a promotion came to be what it is, the newest change first. Raises NotFound."""
    promotion(scope, id)
    query = select(PromotionVersion).where(
        PromotionVersion.tenant_id == scope.tenant_id, PromotionVersion.promotion_id == id
    )
    with scope.reads() as session:
        return part(session, query.order_by(PromotionVersion.version.desc()), limit, offset)


def change_promotion(
    scope: Scope, id: str, commands: Sequence[Definition], version: int | None = None, *, listed: bool = False
) -> Promotion:
    """Run commands in order, all or none; gives the promotion as they leave it.

    version is the one that the caller has seen, None for any. listed: the commands came as a list, and errors name the
    place. Raises NotFound, Conflict, Invalid, PreconditionFailed.
    """
    with scope.records() as session:
        hold(session, scope.tenant_id, LOCK)
        change = _PromotionChange(scope, session, id, session.scalar(_of(scope).where(Promotion.id == id)))
        run_commands(change, commands, version, listed=listed)
        return change.existing()


def create_promotion(scope: Scope, command: Create) -> Promotion:
    """A new promotion. Raises Conflict for an id or a code in use."""
    return change_promotion(scope, command.id or str(uuid.uuid4()), [command])


def duplicate(scope: Scope, id: str, copy: Duplicate) -> Promotion:
    """A new draft with everything of another promotion, of any status, but its code. Raises NotFound, Conflict."""
    source = promotion(scope, id)
    commands = [
        Create(name=copy.name or source.name, code=copy.code, description=source.description),
        _Copied(properties=source.properties, condition_tree=source.condition_tree, tiers=source.tiers, of=source.id),
    ]
    return change_promotion(scope, copy.id or str(uuid.uuid4()), commands)


class _Copied(Definition):
    """What a duplicate has of its source, as it was checked there."""

    type: Literal["duplicate"] = "duplicate"
    of: str
    properties: dict[str, Any]
    condition_tree: dict[str, Any]
    tiers: list[dict[str, Any]]


def shown(promotion: Promotion, tenant_name: str | None) -> dict[str, Any]:
    """A promotion as clients read it. tenant_name is the id of the promotion tenant; null while there is none."""
    return {
        "id": promotion.id,
        "tenantId": tenant_name,
        "status": promotion.status,
        "code": promotion.code,
        "metadata": {"name": promotion.name, "description": promotion.description},
        "conditionTree": promotion.condition_tree,
        "promotionTiers": promotion.tiers,
        "properties": promotion.properties,
        "createdAt": promotion.created_at,
        "updatedAt": promotion.updated_at,
        "activatedAt": promotion.activated_at,
        "version": promotion.version,
    }


class _PromotionChange(Change[Promotion]):
    """One transaction on a promotion."""

    what = "promotion"

    def __init__(self, scope: Scope, session: Session, id: str, subject: Promotion | None) -> None:
        super().__init__(scope, session, id, subject)
        self.promotion_id = id
        self.tenant = session.scalar(select(PromotionTenant).where(PromotionTenant.tenant_id == scope.tenant_id))
        self.runs: Mapping[str, Callable[[Any], None]] = {
            "create": self.create,
            "duplicate": self.fill,
            "setMetadata": self.set_metadata,
            "setProperties": self.set_properties,
            "setConditionTree": self.set_condition_tree,
            "setPromotionTiers": self.set_tiers,
            "activate": self.activate,
            "deactivate": self.deactivate,
            "archive": self.archive,
        }

    @property
    def properties(self) -> Properties:
        """What trees and rewards may use."""
        return properties_of(self.scope, self.tenant)

    def _allowing(self, command: str) -> Promotion:
        """The promotion. Raises NotFound, and Conflict when its status does not allow a command."""
        subject = self.existing()
        if subject.status not in ALLOWED[command]:
            allowed = " or ".join(ALLOWED[command])
            raise Conflict(f"Promotion {subject.id!r} is {subject.status}; {command} needs one that is {allowed}.")
        if command in ("setConditionTree", "setPromotionTiers") and subject.activated_at is not None:
            raise Conflict(f"Promotion {subject.id!r} has been active; its conditions and tiers stay as they are.")
        return subject

    def create(self, command: Create) -> None:
        """Raises Conflict for an id or a code in use."""
        if self.subject is not None:
            raise Conflict(f"The promotion id {self.promotion_id!r} is in use.")
        code, now = command.code.strip(), self.scope.clock.now()
        with_code = _of(self.scope).where(
            Promotion.code_key == code_key(code), Promotion.status != PromotionStatus.ARCHIVED
        )
        if (other := self.session.scalar(with_code)) is not None:
            raise Conflict(f"The code {code!r} is in use by promotion {other.id!r}.")
        self.subject = Promotion(
            tenant_id=self.scope.tenant_id,
            id=self.promotion_id,
            status=DRAFT,
            code=code,
            code_key=code_key(code),
            name=command.name,
            description=command.description,
            condition_tree={"branches": []},
            tiers=[],
            properties={},
            created_at=now,
            updated_at=now,
            activated_at=None,
            version=0,
        )
        self.session.add(self.subject)

    def fill(self, command: _Copied) -> None:
        """Give a new promotion what its source has."""
        subject = self.existing()
        subject.properties, subject.tiers = command.properties, command.tiers
        subject.condition_tree = command.condition_tree

    def set_metadata(self, command: SetMetadata) -> None:
        """Raises Conflict, Invalid."""
        subject, members = self._allowing("setMetadata"), command.model_fields_set - {"type"}
        if not members:
            raise Invalid("name or description is required.")
        if "name" in members:
            subject.name = bound(command.name, "name")
        if "description" in members:
            subject.description = command.description

    def set_properties(self, command: SetProperties) -> None:
        """Raises Conflict, Invalid."""
        subject = self._allowing("setProperties")
        subject.properties = checked_values(command.properties, self.properties.promotion, "properties")

    def set_condition_tree(self, command: SetConditionTree) -> None:
        """Raises Conflict, Invalid."""
        subject = self._allowing("setConditionTree")
        subject.condition_tree = self._checked_tree(command.condition_tree, "conditionTree")

    def set_tiers(self, command: SetPromotionTiers) -> None:
        """Raises Conflict, Invalid."""
        subject = self._allowing("setPromotionTiers")
        if len(command.promotion_tiers) > MOST_TIERS:
            raise Invalid(f"promotionTiers must have at most {MOST_TIERS} tiers.")
        ids = [tier.id for tier in command.promotion_tiers if tier.id is not None]
        if len(set(ids)) < len(ids):
            repeated = next(id for id in ids if ids.count(id) > 1)
            raise Invalid(f"promotionTiers has two tiers with the id {repeated!r}.")
        subject.tiers = [
            self._checked_tier(tier, f"promotionTiers[{number}]") for number, tier in enumerate(command.promotion_tiers)
        ]

    def _checked_tree(self, tree: Tree, path: str) -> dict[str, Any]:
        read, properties = tree_of(tree.branches, path), self.properties
        compiled(read, properties, with_given(schema(self.scope), properties))
        return document(read, properties)

    def _checked_tier(self, tier: Tier, path: str) -> dict[str, Any]:
        tree = self._checked_tree(tier.condition_tree, f"{path}.conditionTree")
        rewards = [
            self._checked_reward(reward, f"{path}.rewards[{number}]").document()
            for number, reward in enumerate(tier.rewards)
        ]
        return {"id": tier.id or str(uuid.uuid4()), "name": tier.name, "conditionTree": tree, "rewards": rewards}

    def _checked_reward(self, reward: Reward, path: str) -> Reward:
        """A reward whose property has a source. Raises Invalid for an unknown reward type or property."""
        if reward.reward_type.lower() not in reward_types_of(self.tenant):
            raise Invalid(f"{path}.rewardType: there is no reward type {reward.reward_type!r}.")
        calculation = reward.calculation
        if not isinstance(calculation, Percentage):
            return reward
        sources = (calculation.source,) if calculation.source else (Source.CUSTOMER, Source.SESSION)
        having = [source for source in sources if self.properties.named(source, calculation.of)]
        if len(having) != 1:
            reason = "is not declared" if not having else "is one of the customer and of the session: name its source"
            raise Invalid(f"{path}.calculation.of: the property {calculation.of!r} {reason}.")
        definition = self.properties.named(having[0], calculation.of)
        if definition is None or definition.type is not PropertyType.NUMBER:
            raise Invalid(f"{path}.calculation.of: the property {calculation.of!r} is not a number.")
        return reward.model_copy(update={"calculation": calculation.model_copy(update={"source": having[0]})})

    def activate(self, command: Activate) -> None:
        """Raises Conflict when its tenant is not active, or when it has no tier."""
        subject = self._allowing("activate")
        if self.tenant is None or self.tenant.status != TenantStatus.ACTIVE:
            raise Conflict("The promotion tenant is not active; activate it first.")
        if not subject.tiers:
            raise Conflict(f"Promotion {subject.id!r} has no tier; set its tiers first.")
        properties = self.properties
        whole = with_given(schema(self.scope), properties)
        for tree in [subject.condition_tree, *(tier["conditionTree"] for tier in subject.tiers)]:
            compiled(tree_of(tree, "conditionTree"), properties, whole)
        checked_values(subject.properties, properties.promotion, "properties")
        subject.status = ACTIVE
        subject.activated_at = subject.activated_at or self.scope.clock.now()

    def deactivate(self, command: Deactivate) -> None:
        """Raises Conflict."""
        self._allowing("deactivate").status = DEACTIVATED

    def archive(self, command: Archive) -> None:
        """Raises Conflict."""
        self._allowing("archive").status = PromotionStatus.ARCHIVED

    def finish(self, names: Sequence[str]) -> None:
        """Keep the version, and leave an audit entry."""
        subject = self.existing()
        document = shown(subject, self.tenant.id if self.tenant else None)
        for name in ("createdAt", "updatedAt", "activatedAt"):
            document[name] = document[name] and document[name].isoformat()
        self.session.add(
            PromotionVersion(
                tenant_id=self.scope.tenant_id,
                promotion_id=subject.id,
                version=subject.version,
                at=subject.updated_at,
                actor=self.scope.actor,
                commands=list(names),
                document=document,
            )
        )
        self.scope.audit(self.session, "change", f"promotion {subject.id}", commands=list(names))
