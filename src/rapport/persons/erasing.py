"""A person taken out of every package that holds something of it."""

from rapport.access.scope import Scope
from rapport.campaigns import service as campaigns
from rapport.customers import service as customers
from rapport.messaging import service as messaging
from rapport.notifications import service as notifications
from rapport.realtime import service as realtime


def take_out(scope: Scope, customer_id: str) -> None:
    """Take a person out at once of all that is read but the accounts of campaigns, which follow with the disk."""
    realtime.forget(scope, customer_id)
    customers.erase(scope, customer_id)
    messaging.forget(scope, customer_id)
    notifications.forget(scope, [customer_id])
    campaigns.purge(scope, customer_id)


def take_away(scope: Scope, customer_ids: list[str], own: customers.OwnTexts) -> None:
    """Take what identifies persons out of what is held besides customers, who have noted them. own: what did."""
    notifications.forget(scope, customer_ids)
    realtime.anonymise(scope, customer_ids, own)
    campaigns.renew_files(scope)
