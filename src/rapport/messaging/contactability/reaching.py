"""Whom a channel reaches, as SQL over a profile: the one rule of campaigns, of conditions and of sizes.

A customer whom a flag keeps out is not reached at all; on a channel by permission, by its address, and unless somebody
said no for the customer or the address (see kept_off).
"""

from collections.abc import Sequence
from datetime import date

from rapport.access.scope import Scope
from rapport.channels import addresses as channel_addresses
from rapport.channels.kinds.base import OWN_ID
from rapport.channels.models import Channel
from rapport.customers import attributes, consent
from rapport.messaging.contactability import rules
from rapport.messaging.contactability.kept_off import KeptOff, fault_of, fault_of_form
from rapport.messaging.contactability.survey import survey
from rapport.stores.warehouse import identifier

FLAGS = ("IS_TEST", "IS_BLOCKED", "IS_OPTIN")


class Reading:
    """How SQL reads a profile's attributes of consent and addresses, as short as what occurs allows.

    profiles is what profiles_stand tells now.
    """

    def __init__(self, scope: Scope, used: Sequence[Channel], data_date: date, profiles: str) -> None:
        permissions = {channel.permission_attribute for channel in used if channel.permission_attribute}
        addresses = {channel.address_attribute for channel in used} - {OWN_ID}
        self.profiles = profiles
        self._consents = consent.consents(scope)
        self.forbidding = attributes.forbidding(scope)
        self._survey = survey(scope, data_date, {*FLAGS, *self.forbidding, *permissions}, addresses, profiles)

    def blocked(self, name: str) -> str:
        """Whether an attribute that forbids does, as blocked and test accounts."""
        return self._survey.forbids_writing(self._consents.blocked, name, f"profile.{profile_alias(name)}")

    def not_permitted(self, name: str) -> str:
        """Whether an attribute that permits does not."""
        return self._survey.forbids_writing(self._consents.permission, name, f"profile.{profile_alias(name)}")

    def is_plain(self, name: str) -> bool:
        """Whether an attribute has plain addresses only."""
        return name.upper() in self._survey.plain


def profile_alias(name: str) -> str:
    """The name of an attribute's column of p."""
    return identifier(f"of_{name.upper()}")


def profile_columns(scope: Scope, used: Sequence[Channel]) -> str:
    """SQL of the columns of p that are read for channels."""
    names = {*FLAGS, *attributes.forbidding(scope)}
    for channel in used:
        names |= {channel.address_attribute, channel.permission_attribute or ""} - {OWN_ID, ""}
    infos = attributes.find(scope, sorted(names))
    return ", ".join(f"{attributes.rendered(info)} AS {profile_alias(info.real_field_name)}" for info in infos)


def flagged(reading: Reading) -> dict[rules.Rule, list[str]]:
    """The conditions of the rules by which a flag keeps a customer out of everything."""
    return {
        rules.TEST: [reading.blocked("IS_TEST")],
        rules.BLOCKED: [reading.blocked(name) for name in ("IS_BLOCKED", *reading.forbidding)],
        rules.OPTED_OUT: [reading.not_permitted("IS_OPTIN")],
    }


def unkept(customer_id: str) -> str:
    """SQL of whether a CustomerID is one that cannot be kept in the records."""
    return f"NOT isValidUTF8({customer_id}) OR position({customer_id}, char(0)) > 0"


def fault_sql(channel: Channel, lists: Sequence[KeptOff], suppressed: str, reading: Reading, customer_id: str) -> str:
    """An expression for the fault of a channel, an index of kept_off.faults(); suppressed is the table of the lists.

    Lists that are for recipient groups are taken for customers of these: column grp.
    """
    conditions: dict[rules.Rule, list[str]] = {rule: [] for rule in rules.OF_CHANNEL}
    if channel.permission_attribute:
        not_permitted = reading.not_permitted(channel.permission_attribute)
        conditions[rules.NO_PERMISSION].append(f"{not_permitted}, {fault_of(rules.NO_PERMISSION)}")
    if channel.address_attribute != OWN_ID:
        address = f"profile.{profile_alias(channel.address_attribute)}"
        is_plain = reading.is_plain(channel.address_attribute)
        conditions[rules.NO_ADDRESS].append(
            f"{channel_addresses.blank_sql(address, plain=is_plain)}, {fault_of(rules.NO_ADDRESS)}"
        )
        form = channel.behaviour.address_form
        if form.sql is not None:
            conditions[rules.BAD_ADDRESS].append(f"NOT {form.sql(address, plain=is_plain)}, {fault_of_form(form)}")
    for kept_off in (kept_off for kept_off in lists if kept_off.channel_id == channel.id):
        of_group = f"grp IN ({', '.join(map(str, kept_off.groups))}) AND " if kept_off.groups else ""
        of_device = (rules.NO_DEVICE,) if channel.behaviour.needs_device else ()
        without_topic = tuple(rule for rule in rules.BY_WISH if rule is not rules.TOPIC)
        by_wish = rules.BY_WISH if kept_off.purpose.topic_id else without_topic
        for rule in (*of_device, *by_wish):
            fault = fault_of(rule)
            listed = f"SELECT customer_id FROM {suppressed} WHERE list = {kept_off.list} AND fault = {fault}"  # noqa: S608 - ours
            conditions[rule].append(f"{of_group}lowerUTF8({customer_id}) IN ({listed}), {fault}")
    branches = [branch for _, rule_branches in rules.in_order(conditions) for branch in rule_branches]
    return f"toUInt8(multiIf({', '.join(branches)}, 0))" if branches else "toUInt8(0)"
