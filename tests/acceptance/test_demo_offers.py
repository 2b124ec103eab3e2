"""The demo's promotions: letters carry codes of their own, and what is redeemed is what budgets say."""

from decimal import Decimal
from typing import Any

from lived import Demo
from sqlalchemy import text

LETTERS, EMAIL = "come-back-letters", 504
MAILED = """
    SELECT DISTINCT customer_id FROM campaign_outcomes
    WHERE outcome = 'sent' AND channel_id = {email:UInt32} AND campaign_id IN {campaigns:Array(UInt32)}
"""
NAMED = """
    SELECT campaign.id FROM campaigns AS campaign
    INNER JOIN campaign_series AS series ON series.tenant_id = campaign.tenant_id AND series.id = campaign.series_id
    WHERE series.tenant_id = :tenant_id AND series.name = 'Good to see you'
"""
REDEEMED = "/manage/v1/promocodes/redemptions"


def redeemed(demo: Demo, promotion: str) -> list[dict[str, Any]]:
    rows = demo.client.get(REDEEMED, params={"promotion_id": promotion, "limit": 1000}).json()
    assert isinstance(rows, list)
    return rows


def codes_of(demo: Demo, pool: str) -> list[dict[str, Any]]:
    codes: list[dict[str, Any]] = []
    while True:
        page = {"limit": 1000, "after": codes[-1]["code"] if codes else ""}
        more = demo.client.get(f"/manage/v1/promocodes/{pool}/codes", params=page).json()
        if not more:
            return codes
        codes += more


def test_each_letter_has_a_code_of_its_own(demo: Demo) -> None:
    codes = codes_of(demo, LETTERS)
    given = [code["customer_id"] for code in codes if code["customer_id"]]
    with demo.scope.reads() as session:
        campaigns = list(session.scalars(text(NAMED), {"tenant_id": demo.scope.tenant_id}))
    mailed = demo.scope.warehouse.rows(MAILED, email=EMAIL, campaigns=campaigns)
    assert given and {customer.lower() for (customer,) in mailed} == set(given)
    spent = {code["code"]: code["customer_id"] for code in codes if code["redemption_id"]}
    of_letters = redeemed(demo, "come-back")
    assert spent and {row["code"]: row["customer_id"].lower() for row in of_letters} == spent


def test_budgets_say_what_was_redeemed(demo: Demo) -> None:
    budget = demo.client.get("/v1/promotions/come-back/publishingBudgets").json()["budgets"][0]
    of_month = [row for row in redeemed(demo, "come-back") if row["created_at"] >= f"{budget['periodStart']}T"]
    granted = sum(Decimal(reward["value"]) for row in of_month for reward in row["rewards"])
    assert Decimal(str(budget["used"])) == granted
    assert all(3 <= Decimal(row["rewards"][0]["value"]) <= 15 for row in redeemed(demo, "come-back"))
    for promotion, reward in (("save-10", "discount"), ("free-delivery", "delivery"), ("loyal", "points")):
        rows = redeemed(demo, promotion)
        assert rows and {row["rewards"][0]["rewardType"] for row in rows} == {reward}
    orders = [row["order_id"] for row in redeemed(demo, "loyal")]
    others = {row["order_id"] for name in ("save-10", "free-delivery", "come-back") for row in redeemed(demo, name)}
    assert not others & set(orders), "points go with nothing else"
