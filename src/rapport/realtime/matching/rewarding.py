"""Firings of campaigns that publish promotions: each keeps what its customer is granted, or ends and does not go out.

Promotions decide in the transaction that lets a firing out, so it is decided about once, and its rewards stay with it
however often its messages are tried.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns.publishing import firings
from rapport.campaigns.publishing.firings import RewardedFiring
from rapport.campaigns.publishing.rewards import CustomerRewards
from rapport.campaigns.runs.clearance import REFUSED
from rapport.conditions.outcomes import Outcome
from rapport.delivery import once
from rapport.realtime.matching.outgoing import Outgoing
from rapport.realtime.states import FiringState

KEEP = text("""
    UPDATE trigger_firings SET rewards = rewarded.rewards
    FROM json_to_recordset(CAST(:rows AS json)) AS rewarded (id bigint, rewards jsonb)
    WHERE trigger_firings.tenant_id = :tenant_id AND trigger_firings.id = rewarded.id
""")
# They may have ended as sent, since outside systems send what goes out.
REFUSE = text(f"""
    UPDATE trigger_firings
    SET state = '{FiringState.DONE}', finished_at = :now, outcome = '{Outcome.EXCLUDED}', reason = :reason
    WHERE tenant_id = :tenant_id AND id = ANY(CAST(:ids AS bigint[]))
""")  # noqa: S608 - ours
# Persons of refused firings to whom nothing else of the campaign goes, or has gone.
WITHOUT_MESSAGE = text(f"""
    SELECT DISTINCT refused.campaign_id, refused.person FROM trigger_firings AS refused
    WHERE refused.tenant_id = :tenant_id AND refused.id = ANY(CAST(:ids AS bigint[])) AND NOT EXISTS (
        SELECT 1 FROM trigger_firings AS other
        WHERE other.tenant_id = refused.tenant_id AND other.person = refused.person
            AND other.series_id = refused.series_id AND other.campaign_id = refused.campaign_id
            AND other.outcome IN ('', '{Outcome.SENT}', '{Outcome.FAILED}')
    )
""")  # noqa: S608 - ours


def rewarded(scope: Scope, session: Session, outgoing: Sequence[Outgoing]) -> list[Outgoing]:
    """The firings that go out, with what promotions grant; those to whom they grant nothing end as refused."""
    asked = _asked(outgoing)
    if not asked:
        return list(outgoing)
    granted = firings.granted(scope, session, asked)
    refused = sorted(id for id, rewards in granted.items() if rewards is None)
    _keep(scope, session, granted)
    _refuse(scope, session, refused)
    return [_with(firing, granted.get(firing.firing_id)) for firing in outgoing if firing.firing_id not in refused]


def foretold(scope: Scope, outgoing: Sequence[Outgoing]) -> dict[int, CustomerRewards | None]:
    """What promotions would grant firings if they went out now, by their numbers; None for nothing.

    Those of campaigns that publish no promotions are left out. Nothing is counted.
    """
    asked = _asked(outgoing)
    return firings.foretold(scope, asked) if asked else {}


def _asked(outgoing: Sequence[Outgoing]) -> list[RewardedFiring]:
    """The firings about whose customers promotions decide."""
    return [
        RewardedFiring(firing.firing_id, firing.campaign.id, firing.message_to, firing.promo_codes, firing.parameters)
        for firing in outgoing
        if firing.campaign.plan.rules.publishes_promotions and firing.reaches
    ]


def _with(firing: Outgoing, rewards: CustomerRewards | None) -> Outgoing:
    return firing if rewards is None else replace(firing, rewards=rewards.values)


def _keep(scope: Scope, session: Session, granted: Mapping[int, CustomerRewards | None]) -> None:
    rows = [
        {"id": id, "rewards": firings.document(rewards)}
        for id, rewards in granted.items()
        if rewards and rewards.grants
    ]
    if rows:
        session.execute(KEEP, {"tenant_id": scope.tenant_id, "rows": orjson.dumps(rows).decode()})


def _refuse(scope: Scope, session: Session, ids: Sequence[int]) -> None:
    if ids:
        bound = {"tenant_id": scope.tenant_id, "ids": list(ids), "now": scope.clock.now(), "reason": REFUSED}
        session.execute(REFUSE, bound)
        without = session.execute(WITHOUT_MESSAGE, {"tenant_id": scope.tenant_id, "ids": list(ids)})
        once.give_up(scope, session, [(row.campaign_id, row.person) for row in without])
