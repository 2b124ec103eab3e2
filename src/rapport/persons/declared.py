"""The declarations of personal data of all packages, and what they say together of the tables of either engine."""

from rapport.access.personal_data import PersonalData
from rapport.access.scope import Scope
from rapport.apps.personal import PERSONAL_DATA as APP_PERSONAL_DATA
from rapport.audiences.personal import PERSONAL_DATA as AUDIENCE_PERSONAL_DATA
from rapport.campaigns.personal import PERSONAL_DATA as CAMPAIGN_PERSONAL_DATA
from rapport.customers.personal import PERSONAL_DATA as CUSTOMER_PERSONAL_DATA
from rapport.delivery.personal import PERSONAL_DATA as DELIVERY_PERSONAL_DATA
from rapport.in_app.personal import PERSONAL_DATA as IN_APP_PERSONAL_DATA
from rapport.inbox.personal import PERSONAL_DATA as INBOX_PERSONAL_DATA
from rapport.insight.personal import PERSONAL_DATA as INSIGHT_PERSONAL_DATA
from rapport.journeys.personal import PERSONAL_DATA as JOURNEY_PERSONAL_DATA
from rapport.messaging.personal import PERSONAL_DATA as MESSAGING_PERSONAL_DATA
from rapport.notifications.personal import PERSONAL_DATA as NOTIFICATION_PERSONAL_DATA
from rapport.realtime.personal import PERSONAL_DATA
from rapport.redemptions.personal import PERSONAL_DATA as REDEMPTION_PERSONAL_DATA
from rapport.transactional.personal import PERSONAL_DATA as TRANSACTIONAL_PERSONAL_DATA

# In the order in which they are carried out: what waits in real time would be written to the tables of customers and
# make notifications, so it goes first; transactional mail knows customers by the addresses that they still have;
# accounts and files are made of what the others hold, so they come last.
DECLARED: tuple[PersonalData, ...] = (
    JOURNEY_PERSONAL_DATA,
    PERSONAL_DATA,
    TRANSACTIONAL_PERSONAL_DATA,
    CUSTOMER_PERSONAL_DATA,
    AUDIENCE_PERSONAL_DATA,
    INSIGHT_PERSONAL_DATA,
    MESSAGING_PERSONAL_DATA,
    APP_PERSONAL_DATA,
    NOTIFICATION_PERSONAL_DATA,
    INBOX_PERSONAL_DATA,
    IN_APP_PERSONAL_DATA,
    REDEMPTION_PERSONAL_DATA,
    DELIVERY_PERSONAL_DATA,
    CAMPAIGN_PERSONAL_DATA,
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
