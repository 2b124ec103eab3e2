"""What was published to customers who did not get the campaign after all counts towards no budget any more."""

# ruff: noqa: S608 - statements are put together of constants

from rapport.access.scope import Scope
from rapport.campaigns.models import Occurrence
from rapport.campaigns.publishing.rewards import OF_CAMPAIGN, of_run
from rapport.campaigns.runs.clearance import LEFT_OUT
from rapport.conditions.outcomes import Outcome
from rapport.redemptions import published

AT_ONCE = 10_000
OF_CUSTOMERS = f"""
    SELECT DISTINCT lowerUTF8(customer_id) FROM campaign_outcomes
    WHERE {OF_CAMPAIGN} AND lowerUTF8(customer_id) IN {{customers:Array(String)}} AND
"""
ARE_LEFT_OUT, GOT_IT = f"{OF_CUSTOMERS} {LEFT_OUT}", f"{OF_CUSTOMERS} outcome = '{Outcome.SENT}'"


def of_left_out(scope: Scope, campaign: Occurrence) -> None:
    """Give back what was published to customers who were not approved in the end. May be repeated."""
    after = ""
    while persons := published.persons_of(scope, campaign.id, after, AT_ONCE):
        published.take_back(scope, campaign.id, _among(scope, campaign, ARE_LEFT_OUT, persons))
        after = persons[-1]


def of_canceled(scope: Scope, campaign: Occurrence) -> None:
    """Give back what was published to customers whom a canceled campaign sent nothing. May be repeated."""
    after = ""
    while persons := published.persons_of(scope, campaign.id, after, AT_ONCE):
        published.take_back(scope, campaign.id, {*persons} - _among(scope, campaign, GOT_IT, persons))
        after = persons[-1]


def _among(scope: Scope, campaign: Occurrence, statement: str, persons: list[str]) -> set[str]:
    rows = scope.warehouse.rows(statement, customers=persons, **of_run(campaign))
    return {str(person) for (person,) in rows}
