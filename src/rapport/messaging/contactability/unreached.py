"""Whom a channel does not reach on a data date, in a table of the warehouse, for conditions to look them up."""

# ruff: noqa: S608 - statements are put together of checked identifiers and SQL of this package

import hashlib
from datetime import date, timedelta

from rapport.access.scope import Scope
from rapport.apps.service import persons_stand
from rapport.channels import service as channels
from rapport.channels.models import Channel
from rapport.customers import consent
from rapport.messaging.contactability import kept_off, reaching
from rapport.messaging.contactability.kept_off import KeptOff
from rapport.messaging.contactability.survey import profiles_stand
from rapport.stores.records import hold
from rapport.stores.warehouse import identifier, literal

PREFIX = "unreached_"
# Tables of earlier days stay as long as a statement might read them.
KEPT = timedelta(days=3)
KNOWN = """
    SELECT name, comment FROM system.tables WHERE database = {database:String} AND startsWith(name, {prefix:String})
"""
READ = ("profiles",)


def unreached(scope: Scope, channel_id: int, data_date: date) -> str:
    """The name of a table of customer_id: who of a data date cannot be reached on a channel as things stand.

    It is made anew when profiles, wishes, words of consent or the channel changed since. Templates of an app may
    reach fewer. Raises NotFound for the channel.
    """
    channel = channels.channel(scope, channel_id)
    prefix, profiles = f"{PREFIX}{channel_id}_", profiles_stand(scope, data_date)
    name, stands = f"{prefix}{data_date:%Y%m%d}", _stand(scope, channel, data_date, profiles)
    if _tables(scope, prefix).get(name) == stands:
        return name
    with scope.records() as session:
        hold(session, scope.tenant_id, f"{PREFIX}{channel_id}")
        tables = _tables(scope, prefix)
        if tables.get(name) != stands:
            _make(scope, channel, data_date, profiles, name, stands)
        first = f"{prefix}{data_date - KEPT:%Y%m%d}"
        for old in sorted(tables):
            if old < first:
                scope.warehouse.execute(kept_off.NO_TABLE.format(table=identifier(old)))
    return name


def tables(scope: Scope) -> list[str]:
    """The tables that there are, of every channel and day."""
    return sorted(_tables(scope, PREFIX))


def _tables(scope: Scope, prefix: str) -> dict[str, str]:
    """Tables whose names begin so, with what they went by."""
    return dict(scope.warehouse.rows(KNOWN, database=scope.warehouse.name, prefix=prefix))


def _stand(scope: Scope, channel: Channel, data_date: date, profiles: str) -> str:
    suppressed = kept_off.stand(scope, KeptOff(0, channel.id), data_date, profiles)
    devices = persons_stand(scope) if channel.behaviour.needs_device else ""
    settings = (profiles, suppressed, devices, channel.kind, channel.address_attribute, channel.permission_attribute)
    return hashlib.sha256(repr((*settings, consent.consents(scope))).encode()).hexdigest()


def _make(scope: Scope, channel: Channel, data_date: date, profiles: str, name: str, stands: str) -> None:
    """Fill a table aside and put it in the place of the one that there was."""
    warehouse, reading = scope.warehouse, reaching.Reading(scope, [channel], data_date, profiles)
    aside, suppressed = identifier(f"{name}_aside"), f"{name}_suppressed"
    for table in (aside, identifier(suppressed)):
        warehouse.execute(kept_off.NO_TABLE.format(table=table))
    kept_off.create_suppressed(scope, suppressed)
    kept_off_channel = KeptOff(0, channel.id)
    kept_off.load_suppressed(scope, suppressed, kept_off_channel, data_date)
    kept_off.load_without_device(scope, suppressed, kept_off_channel, data_date)
    fault = reaching.fault_sql(channel, [kept_off_channel], identifier(suppressed), reading, "profile.customer_id")
    kept_out = [
        reaching.unkept("profile.customer_id"),
        *(condition for conditions in reaching.flagged(reading).values() for condition in conditions),
    ]
    columns = reaching.profile_columns(scope, [channel])
    profile = f"SELECT customer_id, {columns} FROM profiles WHERE data_date = {{data_date:Date}}"
    rows = f"SELECT profile.customer_id FROM ({profile}) AS profile WHERE {' OR '.join(kept_out)} OR {fault} > 0"
    definition = "(customer_id String) ENGINE = MergeTree ORDER BY customer_id"
    warehouse.execute(f"CREATE TABLE {aside} {definition} COMMENT {literal(stands)}")
    for part in warehouse.customer_slices(*READ):
        part.execute(f"INSERT INTO {aside} {rows}", None, data_date=data_date)
    warehouse.execute(f"CREATE TABLE IF NOT EXISTS {identifier(name)} {definition}")
    warehouse.execute(f"EXCHANGE TABLES {aside} AND {identifier(name)}")
    for table in (aside, identifier(suppressed)):
        warehouse.execute(kept_off.NO_TABLE.format(table=table))
