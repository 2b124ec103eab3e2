"""Run by test_publisher_killed: promotions decide about the customers of a run, and the process dies when told to.

usage: publisher_killed.py DATA_DIR TABLE NUMBER   (dies right after the so many-th insert into a table; 0: never)
"""

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "promotions"))

from campaign_tenant import DATA_DATE, NOW, TODAY, add_action, add_channels, add_group, add_series
from killed_runs import CAMPAIGN, TENANT, add_tenant, counting, die
from promotion_tenant import PROPERTIES, REWARDS, leaf, spins, tier

from rapport.access.scope import Scope, scope_of
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import occurrence, plan_next_run
from rapport.campaigns.publishing import publisher
from rapport.campaigns.runs import processing
from rapport.customers.attributes import AttributeInfo
from rapport.promotions import editing, tenants
from rapport.promotions.definitions import PropertyDefinition, RewardType, Tier
from rapport.settings import Settings
from rapport.stores import Stores, open_stores
from rapport.stores.warehouse import Database
from rapport.stores.workflows import work

DEPOSITS = {f"K{number:03}": number for number in range(100)}
LEAST = 30
BATCH = 25


def begin(stores: Stores) -> Scope:
    """A tenant with a run whose customers wait for a promotion, which grants spins from a deposit on."""
    rows = [[who, f"{who}@example.com", deposit] for who, deposit in DEPOSITS.items()]
    declared = [AttributeInfo("DEPOSITS", "", "", "Int", "batch", api_updatable=True)]
    scope = add_tenant(stores, 50, ["customer_id", "EMAIL", "DEPOSITS"], rows, declared)
    deposits = next(one for one in PROPERTIES if one["key"] == "lifetimeDeposits")
    commands = [
        tenants.Create(name="Killed"),
        tenants.SetCustomerPropertySchema(properties=[PropertyDefinition.model_validate(deposits)]),
        tenants.SetRewardTypes(reward_types=[RewardType.model_validate(REWARDS[0])]),
        tenants.Activate(),
    ]
    tenants.change_tenant(scope, "play", commands, None)
    granted = tier("high", [leaf("lifetimeDeposits", "greaterThanOrEquals", LEAST)], spins(9))
    change = [
        editing.Create(name="SPRING", code="SPRING"),
        editing.SetPromotionTiers(promotion_tiers=[Tier.model_validate(granted)]),
        editing.Activate(),
    ]
    editing.change_promotion(scope, "SPRING", change, None)
    add_channels(scope)
    add_group(scope, "Dutch", "NL")
    action = add_action(scope, "Reload", ("SPRING",)).id
    groups = [{"action_id": action, "channels": [{"channel_id": 504, "template_id": 1}]}]
    rules = {"publishes_promotions": True}
    series = add_series(scope, 1, groups, conditional=True, control_share=0, rules=rules)
    number = plan_next_run(scope, series.id, TODAY)
    assert number == CAMPAIGN
    processing.prepare_members(scope, number, DATA_DATE)
    processing.process(scope, number, DATA_DATE)
    return scope


def die_after(table: str, number: int) -> None:
    """Kill this process right after so many inserts into a table."""
    done, insert = counting(number, die), Database.insert

    def inserted(self: Database, into: str, *args: object) -> None:
        insert(self, into, *args)  # type: ignore[arg-type]
        if into == table:
            done()

    Database.insert = inserted  # type: ignore[method-assign, assignment]


def main(folder: Path, table: str, number: int) -> None:
    began = folder.exists()
    publisher.BATCH = BATCH
    stores = open_stores(Settings(data_dir=folder))
    stores.clock.set(NOW)
    scope = scope_of(stores, TENANT) if began else begin(stores)
    if number:
        die_after(table, number)
    stores.start_work()
    tasks.execute_due(scope)
    work.wait(f"publish:{TENANT}:{CAMPAIGN}")  # what is resumed may still be ending
    sql = "SELECT customer_id FROM campaign_rewards", "SELECT customer_id, status FROM campaign_clearances"
    rewarded, verdicts = ([list(row) for row in scope.warehouse.rows(statement)] for statement in sql)
    print(json.dumps([rewarded, verdicts, occurrence(scope, CAMPAIGN).to_publish]), flush=True)
    stores.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
