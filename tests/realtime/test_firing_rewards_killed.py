"""kill -9 of a server whose triggers publish promotions: each firing has at most one reward, and budgets are exact."""

import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from test_intake_killed import script
from test_triggers_killed import CUSTOMERS, Load, data, kill_under_load, survivor, whole
from webhook_receiver import receiving

__all__ = ["data"]

SPINS, CAP = 3, 60
SETUP = f"""
import json
import sys
from pathlib import Path

from rapport.access.service import create_tenant
from rapport.campaigns import definitions
from rapport.campaigns.schemas import ActionBody
from rapport.campaigns.triggered import definitions as campaign_definitions
from rapport.campaigns.triggered.schemas import TriggeredBody
from rapport.channels import service as channels
from rapport.customers import event_types
from rapport.notifications import service as notifications
from rapport.promotions import editing, tenants
from rapport.promotions.changing import commands_of
from rapport.realtime.events import tokens
from rapport.redemptions import budgets
from rapport.redemptions.definitions import SetBudgets
from rapport.settings import Settings
from rapport.stores import open_stores

stores = open_stores(Settings(data_dir=Path(sys.argv[1]), allow_private_addresses=True))
scope = create_tenant(stores, "Killed", settings={{"events": {{"events_per_person": 100000}}}})
channels.create_channel(scope, "SMS", "external")
definitions.create_action(scope, ActionBody(name="Voucher", promo_codes=["P"]))
for name in ("level_up", "page_view"):
    event_types.declare_event_type(scope, name, {{"n": "Number"}})
scope.warehouse.insert("customers", ["customer_id"], [[f"C{{number}}"] for number in range({CUSTOMERS})])
commands = [
    {{"type": "create", "name": "Killed"}},
    {{"type": "setRewardTypes", "rewardTypes": [{{"key": "spins", "name": "Spins", "category": "units"}}]}},
    {{"type": "activate"}},
]
tenants.change_tenant(scope, None, commands_of(commands, tenants.COMMANDS))
rewards = [{{"rewardType": "spins", "calculation": {{"type": "fixed", "value": {SPINS}}}}}]
launched = [
    {{"type": "create", "name": "P", "code": "P"}},
    {{"type": "setPromotionTiers", "promotionTiers": [{{"name": "T", "conditionTree": [], "rewards": rewards}}]}},
    {{"type": "activate"}},
]
editing.change_promotion(scope, "P", commands_of(launched, editing.COMMANDS))
bounded = [{{"of": "redemptions", "period": "lifetime", "limit": {CAP}}}]
budgets.set_budgets(scope, "P", SetBudgets.model_validate({{"budgets": bounded}}))
campaign_definitions.create_triggered(scope, TriggeredBody.model_validate({{
    "name": "Levels", "trigger": {{"kind": "simple", "event": "level_up"}}, "control_share": 0, "re_entry": "unlimited",
    "groups": [{{"action_id": 2, "channels": [{{"channel_id": 505, "template_id": 1}}]}}],
    "rules": {{"publishes_promotions": True}},
}}))
notifications.register_listener(scope, 11, sys.argv[2])
print(json.dumps({{"tenant": scope.tenant_id, "sdk": tokens.tokens(scope)["sdk"].value}}))
stores.close()
"""
FIRINGS = "SELECT id, outcome, reason, rewards FROM trigger_firings"
PUBLISHED = "SELECT firing_id, state, rewards FROM redemptions"
USED = "SELECT used FROM budget_counters WHERE counted = 'redemptions'"


def rows(data: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of the records of a server that runs."""
    with psycopg.connect(host=str(data / "records"), user="postgres", dbname="postgres") as connection:
        return connection.execute(sql.encode()).fetchall()


@pytest.mark.timeout(240)
def test_a_killed_server_grants_each_firing_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_ALLOW_PRIVATE_ADDRESSES", "true")
    luck = random.Random()
    with receiving() as receiver:
        load = Load(script(SETUP, data, receiver.url))
        kill_under_load(data, load, luck)
        with survivor(data, load, luck):
            firings, published, used = (rows(data, sql) for sql in (FIRINGS, PUBLISHED, USED))
        posts = [json.loads(post.body) for post in whole(receiver)]
    granted = min(CAP, len(load.levels))
    rewarded = {id for id, outcome, _, rewards in firings if (outcome, rewards is None) == ("sent", False)}
    refused = [id for id, *what in firings if what == ["excluded", "refused", None]]
    assert len(firings) == len(load.levels) == len(rewarded) + len(refused)
    assert len(rewarded) == len(published) == granted and used == [(Decimal(granted),)]
    assert {firing_id for firing_id, _, _ in published} == rewarded
    assert {rewards["values"]["SPINS"] for *_, rewards in firings if rewards} == {str(SPINS)}
    assert {post["event_n"] for post in posts} <= load.levels and len({post["event_n"] for post in posts}) == granted
    assert all(post["rewards"] == {"SPINS": str(SPINS)} for post in posts)
