"""The declarations of personal data of all packages, and what they say together of the tables of either engine."""

from rapport.access.personal_data import PersonalData
from rapport.access.scope import Scope
from rapport.audiences import service as audiences
from rapport.campaigns import service as campaigns
from rapport.customers import service as customers
from rapport.delivery import service as delivery
from rapport.insight import service as insight
from rapport.messaging import service as messaging
from rapport.notifications import service as notifications
from rapport.realtime import service as realtime

# In the order in which they are carried out: what waits in real time would be written to the tables of customers and
# make notifications, so it goes first; accounts and files are made of what the others hold, so they come last.
DECLARED: tuple[PersonalData, ...] = (
    realtime.PERSONAL_DATA,
    customers.PERSONAL_DATA,
    audiences.PERSONAL_DATA,
    insight.PERSONAL_DATA,
    messaging.PERSONAL_DATA,
    notifications.PERSONAL_DATA,
    delivery.PERSONAL_DATA,
    campaigns.PERSONAL_DATA,
)
ID = "customer_id"


def tables(scope: Scope) -> list[str]:
    """The tables of the warehouse with a CustomerID in each row."""
    return sorted({*_migrated(), *_made_tables(scope)})


def going(scope: Scope) -> list[str]:
    """Those of them from which an erasure takes a person's rows."""
    kept_tables = frozenset[str]().union(*(package.kept_tables for package in DECLARED))
    return [table for table in tables(scope) if table not in kept_tables]


def naming() -> list[str]:
    """The tables of the records with a CustomerID, as it was given, in each row."""
    return sorted(table for package in DECLARED for table, columns in package.records.items() if ID in columns)


def _migrated() -> list[str]:
    return [table for package in DECLARED for table, columns in package.warehouse.items() if ID in columns]


def _made_tables(scope: Scope) -> list[str]:
    return [table for package in DECLARED for table in package.made_tables(scope)]
