"""On which channels a person can be reached: by permission, address, and wish not to be written to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rapport.access.scope import Scope
from rapport.audiences.facts import KnownCustomer
from rapport.campaigns.plans import Plan, PlannedGroup
from rapport.campaigns.runs.hold_out import ActiveHoldOut
from rapport.campaigns.states import ChannelChoice
from rapport.channels.addresses import address_key, is_blank
from rapport.channels.kinds.base import OWN_ID
from rapport.channels.models import Channel
from rapport.conditions.outcomes import Outcome
from rapport.customers.consent import Consents
from rapport.customers.person_ids import VISITOR
from rapport.messaging.contactability import preferences, rules
from rapport.messaging.contactability.purposes import ANYTHING, Purpose, purposes_of_templates

# A fault of a channel: the outcome and the reason why a person cannot be reached on it.
Fault = tuple[str, str]


def attributes_of(channels: Mapping[int, Channel], used: Iterable[int]) -> set[str]:
    """The attributes, in upper case, that tell whether a person can be reached on the used channels that there are."""
    existing = (channels[channel_id] for channel_id in used if channel_id in channels)
    names = {name for channel in existing for name in (channel.address_attribute, channel.permission_attribute) if name}
    return {name.upper() for name in names} - {OWN_ID}


def address_attributes(channels: Mapping[int, Channel]) -> set[str]:
    """The attributes, in upper case, that hold the addresses of channels."""
    return {channel.address_attribute.upper() for channel in channels.values()} - {OWN_ID}


@dataclass
class Reach:
    """Of some persons, by the channels of the tenant; customers are those among them, by person.

    consents tells how the tenant's attributes of consent are read; forbidding are those beside the built-in ones whose
    Yes says not to write.

    purposes are those of templates that have one, by channel and template, None before they are read;
    unreachable is by channel and purpose; with_device has, of channels that need one, the persons with a device.
    """

    channels: Mapping[int, Channel]
    consents: Consents
    forbidding: Sequence[str] = ()
    customers: dict[str, KnownCustomer] = field(default_factory=dict)
    purposes: dict[tuple[int, int], Purpose] | None = None
    unreachable: dict[tuple[int, Purpose], dict[str, str]] = field(default_factory=dict)
    with_device: dict[int, set[str]] = field(default_factory=dict)
    kept_back: ActiveHoldOut | None = None

    def ask(self, scope: Scope, channel_ids: Iterable[int], customer_ids: Sequence[str]) -> None:
        """Read who of these customers must not be written to on channels, or with the templates of a purpose on one."""
        existing = sorted(set(channel_ids) & self.channels.keys()) if customer_ids else []
        if self.purposes is None:
            self.purposes = purposes_of_templates(scope, existing) if existing else {}
        for channel_id in existing:
            channel = self.channels[channel_id]
            if channel.behaviour.needs_device:
                reached = channel.behaviour.with_device(scope, channel.settings, customer_ids)
                if reached is not None:
                    self.with_device[channel_id] = self.with_device.get(channel_id, set()) | reached
            of_channel = (purpose for (channel, _), purpose in self.purposes.items() if channel == channel_id)
            for purpose in {ANYTHING, *of_channel}:
                addresses = self._addresses(self.channels[channel_id], customer_ids)
                reasons = preferences.unreachable(scope, channel_id, customer_ids, purpose, addresses)
                self.unreachable[channel_id, purpose] = {
                    customer_id.lower(): reason for customer_id, reason in reasons.items()
                }

    def _addresses(self, channel: Channel, customer_ids: Iterable[str]) -> dict[str, str]:
        """Where messages of a channel would go, by customer."""
        name = channel.address_attribute.upper()
        values = (
            {customer_id: self.attribute(customer_id.lower(), name) for customer_id in customer_ids}
            if name != OWN_ID
            else {}
        )
        return {customer_id: str(value) for customer_id, value in values.items() if value is not None}

    def find_reachable(self, scope: Scope, channel_ids: set[int]) -> None:
        """Let the facts of those who are known say which of some channels reach them."""
        existing = sorted(channel_ids & self.channels.keys())
        self.ask(scope, existing, [customer.customer_id for customer in self.customers.values()])
        for person, customer in self.customers.items():
            reached = (
                frozenset()
                if rules.first(self._flags(person))
                else {channel_id for channel_id in existing if not self._fault(person, channel_id, 0)}
            )
            facts = replace(customer.facts, reachable=frozenset(reached))
            self.customers[person] = replace(customer, facts=facts)

    def _flags(self, person: str) -> rules.Holds:
        """Whether a flag of the customer keeps it off every channel."""
        blocked, permission = self.consents.blocked, self.consents.permission
        if person not in self.customers:
            return {}
        forbidding = ("IS_BLOCKED", *self.forbidding)
        return {
            rules.TEST: lambda: blocked.forbids_writing(self.attribute(person, "IS_TEST")),
            rules.BLOCKED: lambda: any(blocked.forbids_writing(self.attribute(person, name)) for name in forbidding),
            rules.OPTED_OUT: lambda: permission.forbids_writing(self.attribute(person, "IS_OPTIN")),
        }

    def _never(self, person: str, channel_ids: Iterable[int]) -> rules.Holds:
        """Whether no campaign on some channels may write to a person: a flag, or the hold-out.

        The hold-out has customers only, and whoever has an address of one of them on one of the channels.
        """
        kept_back = self.kept_back
        if kept_back is None or person.startswith(VISITOR):
            return self._flags(person)
        used = {number: self.channels[number] for number in channel_ids if number in self.channels}
        return {
            **self._flags(person),
            rules.HELD_OUT: lambda: kept_back.has(person),
            rules.HELD_OUT_ADDRESS: lambda: kept_back.has_address(
                {name: self._text(person, name) for name in address_attributes(used)}
            ),
        }

    def refused(self, person: str, channel_ids: Iterable[int]) -> Fault | None:
        """Why no campaign on some channels may write to a person; None when one may."""
        return rules.first(self._never(person, channel_ids))

    def barring(self, person: str, plan: Plan) -> rules.Holds:
        """Whether nothing of a campaign may go to a person: a flag, the hold-out, or an always-excluded group."""
        customer = self.customers.get(person)
        groups = customer.facts.groups if customer else frozenset[int]()
        excluded = plan.rules.exclude_target_group_ids
        return {
            **self._never(person, plan.channel_ids),
            rules.IN_GROUP: lambda: next((number for number in excluded if number in groups), 0),
        }

    def attribute(self, person: str, name: str) -> Any:
        """The value of an attribute of a person by its upper-case name; None for whoever is not a known customer."""
        customer = self.customers.get(person)
        return customer.facts.attributes.get(name) if customer else None

    def faults(self, person: str, group: PlannedGroup, also: str = "") -> dict[int, Fault]:
        """The channels of a recipient group on which a person cannot be or is not reached, with outcome and reason.

        also: the customer that a visitor has turned out to be, who must be reachable, too.
        """
        faults: dict[int, Fault] = {}
        persons, is_reached = [person, also] if also else [person], False
        for channel in group.channels:
            of_persons = (self._fault(someone, channel.channel_id, channel.template_id) for someone in persons)
            if fault := next(filter(None, of_persons), None):
                faults[channel.channel_id] = fault
            elif is_reached and group.channel_choice is ChannelChoice.FIRST:
                faults[channel.channel_id] = rules.ELSEWHERE.outcome_and_reason()
            else:
                is_reached = True
        return faults

    def addresses(self, person: str, group: PlannedGroup, faults: Mapping[int, Fault]) -> dict[int, str]:
        """The addresses at which a person is reached, by those channels of a group that have any."""
        reached = group.channel_ids - faults.keys()
        by_channel = ((channel_id, self._address(person, channel_id)) for channel_id in sorted(reached))
        return {channel_id: address for channel_id, address in by_channel if address}

    def divided_by(self, person: str, plan: Plan) -> str:
        """By what a person is divided: an address of the campaign's channels, which others may share, or itself."""
        keys = (address_key(self._address(person, channel_id)) for channel_id in sorted(plan.channel_ids))
        return next((f"address {key}" for key in keys if key), person)

    def _address(self, person: str, channel_id: int) -> str:
        channel = self.channels.get(channel_id)
        name = channel.address_attribute.upper() if channel else OWN_ID
        return "" if name == OWN_ID else self._text(person, name)

    def _text(self, person: str, name: str) -> str:
        """The text of an attribute; empty for none."""
        value = self.attribute(person, name)
        return "" if value is None else str(value)

    def _fault(self, person: str, channel_id: int, template_id: int) -> Fault | None:
        channel = self.channels.get(channel_id)
        if channel is None:  # gone since the firing was planned
            return Outcome.NO_ADDRESS, f"there is no channel {channel_id}"
        permission = channel.permission_attribute if person in self.customers else None
        has_address, address = channel.address_attribute.upper() != OWN_ID, self._address(person, channel_id)
        form = channel.behaviour.address_form
        purpose = (self.purposes or {}).get((channel_id, template_id), ANYTHING)
        reason = self.unreachable.get((channel_id, purpose), {}).get(person)
        is_unknown = person.startswith(VISITOR)
        return rules.first(
            {
                rules.EXCLUDED: lambda: reason == rules.EXCLUDED.reason,
                rules.NO_PERMISSION: lambda: (
                    permission and self.consents.permission.forbids_writing(self.attribute(person, permission.upper()))
                ),
                rules.NO_ADDRESS: lambda: has_address and is_blank(address),
                rules.BAD_ADDRESS: lambda: has_address and not form.passes(address) and form.fault,
                rules.NO_DEVICE: lambda: channel_id in self.with_device and person not in self.with_device[channel_id],
                rules.LISTED: lambda: reason == rules.LISTED.reason,
                rules.TOPIC: lambda: reason == rules.TOPIC.reason or (purpose.opt_in and is_unknown),
                rules.PREFERENCE: lambda: reason == rules.PREFERENCE.reason,
            }
        )
