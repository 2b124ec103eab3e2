"""The promotion tenant: which properties and rewards promotions may use. Each tenant of Rapport has at most one.

Its commands run in order in one transaction; a status decides which of them it allows.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.conditions import FIELD_KINDS
from rapport.customers import attributes
from rapport.errors import Conflict, Invalid, NotFound
from rapport.promotions import uses
from rapport.promotions.changing import Change, bound, run_commands
from rapport.promotions.definitions import (
    MOST_REWARD_TYPES,
    Definition,
    Id,
    Name,
    PropertyDefinition,
    RewardType,
    Text,
    by_key,
)
from rapport.promotions.models import Promotion, PromotionTenant
from rapport.promotions.properties import Properties, check_definitions
from rapport.promotions.states import PromotionStatus, TenantStatus
from rapport.stores.records import hold

LOCK = "promotions"
EDITABLE = (TenantStatus.DRAFT, TenantStatus.DEACTIVATED)


class Create(Definition):
    """Create the tenant, as a draft without properties. Without id it is called as the tenant of Rapport is."""

    type: Literal["create"] = "create"
    id: Id | None = None
    name: Name
    description: Text | None = None


class SetMetadata(Definition):
    """Change name, description or settings; those that are left out stay."""

    type: Literal["setMetadata"] = "setMetadata"
    name: Name | None = None
    description: Text | None = None
    settings: dict[str, Any] | None = None


class SetCustomerPropertySchema(Definition):
    """Replace the properties of customers that conditions and rewards may use."""

    type: Literal["setCustomerPropertySchema"] = "setCustomerPropertySchema"
    properties: list[PropertyDefinition]


class SetPromotionPropertySchema(Definition):
    """Replace the properties that promotions may carry."""

    type: Literal["setPromotionPropertySchema"] = "setPromotionPropertySchema"
    properties: list[PropertyDefinition]


class SetSessionPropertySchema(Definition):
    """Replace the properties that validations may give."""

    type: Literal["setSessionPropertySchema"] = "setSessionPropertySchema"
    properties: list[PropertyDefinition]


class SetRewardTypes(Definition):
    """Replace what promotions may grant."""

    type: Literal["setRewardTypes"] = "setRewardTypes"
    reward_types: Annotated[list[RewardType], Field(max_length=MOST_REWARD_TYPES)]


class Activate(Definition):
    """Let promotions be activated and validated."""

    type: Literal["activate"] = "activate"


class Deactivate(Definition):
    """Stop every validation, so that the definitions can be edited."""

    type: Literal["deactivate"] = "deactivate"


class Delete(Definition):
    """Remove the tenant and archive its promotions."""

    type: Literal["delete"] = "delete"


COMMANDS: tuple[type[Definition], ...] = (
    Create,
    SetMetadata,
    SetCustomerPropertySchema,
    SetPromotionPropertySchema,
    SetSessionPropertySchema,
    SetRewardTypes,
    Activate,
    Deactivate,
    Delete,
)


def promotion_tenant(scope: Scope, id: str | None = None) -> PromotionTenant:
    """The promotion tenant; with id, only if it is called so. Raises NotFound."""
    with scope.reads() as session:
        tenant = _stored(scope, session)
    if tenant is None or (id is not None and tenant.id != id):
        raise NotFound(f"There is no promotion tenant {id!r}." if id else "There is no promotion tenant yet.")
    return tenant


def _stored(scope: Scope, session: Session) -> PromotionTenant | None:
    return session.scalar(select(PromotionTenant).where(PromotionTenant.tenant_id == scope.tenant_id))


def properties_of(scope: Scope, tenant: PromotionTenant | None) -> Properties:
    """The properties that promotions may use; none before there is a promotion tenant."""
    if tenant is None:
        return Properties()
    customer, session, promotion = (
        by_key(list(map(PropertyDefinition.model_validate, stored)))
        for stored in (tenant.customer_properties, tenant.session_properties, tenant.promotion_properties)
    )
    kinds = {name: FIELD_KINDS[info.field_type] for name, info in attributes.attributes(scope).items()}
    return Properties(customer, session, promotion, kinds)


def reward_types_of(tenant: PromotionTenant | None) -> dict[str, RewardType]:
    """The reward types by their keys in lower case."""
    stored = tenant.reward_types if tenant else []
    return {reward.key.lower(): reward for reward in map(RewardType.model_validate, stored)}


def change_tenant(
    scope: Scope, id: str | None, commands: Sequence[Definition], version: int | None = None, *, listed: bool = False
) -> PromotionTenant | None:
    """Run commands in order, all or none; gives the tenant, None when the last one deleted it.

    version is the one that the caller has seen, None for any. listed: the commands came as a list, and errors name the
    place. Raises NotFound, Conflict, Invalid, PreconditionFailed.
    """
    with scope.records() as session:
        hold(session, scope.tenant_id, LOCK)
        change = _TenantChange(scope, session, id, _stored(scope, session))
        run_commands(change, commands, version, listed=listed)
        return change.subject


class _TenantChange(Change[PromotionTenant]):
    """One transaction on the promotion tenant."""

    what = "promotion tenant"

    def __init__(self, scope: Scope, session: Session, id: str | None, tenant: PromotionTenant | None) -> None:
        super().__init__(scope, session, id, tenant if tenant and id in (None, tenant.id) else None)
        self.other = tenant
        self.runs: Mapping[str, Callable[[Any], None]] = {
            "create": self.create,
            "setMetadata": self.set_metadata,
            "setCustomerPropertySchema": self.set_customer_properties,
            "setPromotionPropertySchema": self.set_promotion_properties,
            "setSessionPropertySchema": self.set_session_properties,
            "setRewardTypes": self.set_reward_types,
            "activate": self.activate,
            "deactivate": self.deactivate,
            "delete": self.delete,
        }

    def create(self, command: Create) -> None:
        """Raises Conflict when there is one already."""
        if self.other is not None:
            raise Conflict(f"There is a promotion tenant already: {self.other.id!r}.")
        now = self.scope.clock.now()
        self.subject = self.other = PromotionTenant(
            tenant_id=self.scope.tenant_id,
            id=self.id or command.id or str(self.scope.tenant_id),
            status=TenantStatus.DRAFT,
            name=command.name,
            description=command.description,
            settings={},
            customer_properties=[],
            promotion_properties=[],
            session_properties=[],
            reward_types=[],
            created_at=now,
            updated_at=now,
            version=0,
        )
        self.session.add(self.subject)

    def _editable(self) -> PromotionTenant:
        tenant = self.existing()
        if tenant.status not in EDITABLE:
            raise Conflict(f"The promotion tenant is {tenant.status}; deactivate it before you edit it.")
        return tenant

    def set_metadata(self, command: SetMetadata) -> None:
        """Raises Conflict, Invalid."""
        tenant = self._editable()
        members = command.model_fields_set - {"type"}
        if not members:
            raise Invalid("name, description or settings is required.")
        if "name" in members:
            tenant.name = bound(command.name, "name")
        if "description" in members:
            tenant.description = command.description
        if "settings" in members:
            tenant.settings = command.settings or {}

    def set_customer_properties(self, command: SetCustomerPropertySchema) -> None:
        """Raises Conflict, Invalid."""
        tenant = self._editable()
        check_definitions(command.properties, "properties", attributes.attributes(self.scope))
        self._keep_used(by_key(command.properties), by_key(self._definitions(tenant.customer_properties)), "customer")
        tenant.customer_properties = [definition.document() for definition in command.properties]

    def set_promotion_properties(self, command: SetPromotionPropertySchema) -> None:
        """Raises Conflict, Invalid."""
        tenant = self._editable()
        check_definitions(command.properties, "properties")
        self._keep_used(by_key(command.properties), by_key(self._definitions(tenant.promotion_properties)), "promotion")
        tenant.promotion_properties = [definition.document() for definition in command.properties]

    def set_session_properties(self, command: SetSessionPropertySchema) -> None:
        """Raises Conflict, Invalid."""
        tenant = self._editable()
        check_definitions(command.properties, "properties")
        self._keep_used(by_key(command.properties), by_key(self._definitions(tenant.session_properties)), "session")
        tenant.session_properties = [definition.document() for definition in command.properties]

    def set_reward_types(self, command: SetRewardTypes) -> None:
        """Raises Conflict, Invalid."""
        tenant = self._editable()
        keys = [reward.key.lower() for reward in command.reward_types]
        if len(set(keys)) < len(keys):
            raise Invalid("rewardTypes has the same key twice; keys differ by more than case.")
        changed = {reward.key.lower(): reward for reward in command.reward_types}
        for key, reward in reward_types_of(tenant).items():
            if (key not in changed or changed[key].category != reward.category) and (user := self._user("reward", key)):
                raise Conflict(f"The active promotion {user!r} uses the reward type {reward.key!r}: keep its category.")
        tenant.reward_types = [reward.document() for reward in command.reward_types]

    @staticmethod
    def _definitions(stored: Sequence[Any]) -> list[PropertyDefinition]:
        return [PropertyDefinition.model_validate(definition) for definition in stored]

    def _keep_used(
        self, new: Mapping[str, PropertyDefinition], old: Mapping[str, PropertyDefinition], source: str
    ) -> None:
        """Raises Conflict when an active promotion uses a property that is to go or to get another type."""
        for key, definition in old.items():
            if (key not in new or new[key].type != definition.type) and (user := self._user(source, key)):
                raise Conflict(f"The active promotion {user!r} uses the {source} property {definition.key!r}: keep it.")

    def _user(self, source: str, key: str) -> str | None:
        active = select(Promotion).where(
            Promotion.tenant_id == self.scope.tenant_id, Promotion.status == PromotionStatus.ACTIVE
        )
        using = (promotion.id for promotion in self.session.scalars(active) if (source, key) in uses.uses_of(promotion))
        return next(using, None)

    def activate(self, command: Activate) -> None:
        """Raises Conflict when it is active."""
        tenant = self.existing()
        if tenant.status == TenantStatus.ACTIVE:
            raise Conflict("The promotion tenant is active already.")
        tenant.status = TenantStatus.ACTIVE

    def deactivate(self, command: Deactivate) -> None:
        """Raises Conflict when it is not active."""
        tenant = self.existing()
        if tenant.status != TenantStatus.ACTIVE:
            raise Conflict(f"The promotion tenant is {tenant.status}; only an active one can be deactivated.")
        tenant.status = TenantStatus.DEACTIVATED

    def delete(self, command: Delete) -> None:
        """Raises Conflict when it is active."""
        tenant = self.existing()
        if tenant.status == TenantStatus.ACTIVE:
            raise Conflict("The promotion tenant is active; deactivate it before you delete it.")
        self.archive_promotions()
        self.session.delete(tenant)
        self.subject = self.other = None

    def archive_promotions(self) -> None:
        """Archive what the tenant leaves behind, so that nothing of it is validated again."""
        left = select(Promotion).where(
            Promotion.tenant_id == self.scope.tenant_id, Promotion.status != PromotionStatus.ARCHIVED
        )
        for promotion in self.session.scalars(left):
            promotion.status = PromotionStatus.ARCHIVED
            promotion.version += 1
            promotion.updated_at = self.scope.clock.now()

    def finish(self, names: Sequence[str]) -> None:
        """Leave an audit entry."""
        self.scope.audit(self.session, "change", "promotion tenant", commands=list(names))
