"""The messages of firings, written from what is known of the customers when they leave, and who gets none after all."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.campaigns import service as campaigns
from rapport.channels import service as channels
from rapport.customers import service as customers
from rapport.messaging import service as messaging
from rapport.realtime.models import FAILED, SUPPRESSED, Firing
from rapport.stores.warehouse import identifier

NO_ADDRESS = "no address"
STORED = ("batch", "api")

PROFILES = """
    SELECT customer_id, {columns} FROM profiles
    WHERE data_date = {{data_date:Date}} AND customer_id IN {{ids:Array(String)}}
"""
# Customers who came after the last daily process.
CUSTOMERS = "SELECT customer_id, {columns} FROM customers WHERE customer_id IN {{ids:Array(String)}}"

Values = dict[str, str | None]


@dataclass(frozen=True)
class Claimed:
    """A message that is this process's to send. attempts counts the present try too."""

    tenant_id: int
    firing_id: int
    channel_id: int
    template_id: int
    action_id: int
    promo_code: str
    message_id: str
    attempts: int


@dataclass(frozen=True)
class Ended:
    """A message that is not sent, as it stands in the records: suppressed or failed, and why."""

    state: str
    reason: str


def write(
    scope: Scope, channel: channels.Channel, claimed: Sequence[Claimed]
) -> dict[Claimed, channels.Message | Ended]:
    """What is sent on a channel for each of these, or why nothing is. Raises NotFound, Invalid."""
    firings = _firings(scope, claimed)
    together: dict[tuple[int, int, int, int], list[Claimed]] = defaultdict(list)
    for one in claimed:
        of = firings[one.firing_id]
        together[one.template_id, of.campaign_id, of.recipient_group_id, one.action_id].append(one)
    found: dict[Claimed, channels.Message | Ended] = {}
    for (template_id, campaign_id, group, action_id), some in together.items():
        template = messaging.template(scope, channel.id, template_id)
        day = campaigns.occurrence(scope, campaign_id).execution_date
        origin = messaging.Origin(channel.id, campaign_id, template_id, group, action_id, day.isoformat())
        found |= _letters(scope, channel, template, origin, {one: firings[one.firing_id] for one in some})
    return found


def _firings(scope: Scope, claimed: Sequence[Claimed]) -> dict[int, Firing]:
    ids = {one.firing_id for one in claimed}
    with scope.reads() as session:
        wanted = select(Firing).where(Firing.tenant_id == scope.tenant_id, Firing.id.in_(ids))
        return {one.id: one for one in session.scalars(wanted)}


def _letters(
    scope: Scope,
    channel: channels.Channel,
    template: messaging.Template,
    origin: messaging.Origin,
    some: Mapping[Claimed, Firing],
) -> dict[Claimed, channels.Message | Ended]:
    """The messages of one template to members of one recipient group of a campaign."""
    ids = sorted({of.customer_id for of in some.values() if not of.is_visitor})
    address = channel.address_attribute
    values = attribute_values(scope, ids, {*messaging.attributes_used(template), address} - {channels.OWN_ID})
    going = {who: found.get(address) or "" for who, found in values.items() if address != channels.OWN_ID}
    unreachable = messaging.unreachable(scope, channel.id, ids, template.app_id, going) if ids else {}
    writer = messaging.Letters(scope, channel, template, origin)
    found: dict[Claimed, channels.Message | Ended] = {}
    for one, of in some.items():
        known = {} if of.is_visitor else {channels.OWN_ID: of.customer_id, **values.get(of.customer_id, {})}
        to = channels.mended(known.get(address) or "")
        if known and of.customer_id in unreachable:
            found[one] = Ended(SUPPRESSED, unreachable[of.customer_id])
        elif not to:
            found[one] = Ended(FAILED, NO_ADDRESS)
        else:
            extra = {"promo_code": one.promo_code, **event_values(of.parameters)}
            found[one] = writer.write(one.message_id, of.customer_id, to, known, extra)
    return found


def event_values(parameters: Mapping[str, Any]) -> dict[str, str]:
    """What an event said, as placeholders of templates take it."""
    return {f"event.{name}": _text(value) for name, value in parameters.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def attribute_values(scope: Scope, customer_ids: Sequence[str], names: set[str]) -> dict[str, Values]:
    """Attributes by upper-case name of customers, as on the wire; customers whom nobody knows are absent.

    From the current profile; of a customer who is newer than that, from what files and the API said.
    """
    if not names:
        return {}
    infos = customers.find(scope, sorted(names), "The template")
    data_date = scope.data_date()
    found: dict[str, Values] = {}
    if data_date is not None:
        found = _read(scope, PROFILES, infos, customer_ids, data_date=data_date)
    newer = [one for one in customer_ids if one not in found]
    if newer:
        found |= _read(scope, CUSTOMERS, [info for info in infos if info.source in STORED], newer)
    return found


def _read(
    scope: Scope, sql: str, infos: Sequence[customers.AttributeInfo], ids: Sequence[str], **bound: Any
) -> dict[str, Values]:
    columns = [customers.rendered(info, identifier(info.real_field_name)) for info in infos] or ["NULL"]
    rows = scope.warehouse.rows(sql.format(columns=", ".join(columns)), ids=list(ids), **bound)
    names = [info.real_field_name.upper() for info in infos]
    return {str(row[0]): dict(zip(names, row[1:], strict=False)) for row in rows}
