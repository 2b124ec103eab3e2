"""Opting out: links that cannot be forged, a GET that changes nothing, a POST that needs nothing."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import uuid4

import httpx
import pyarrow as pa
import pytest
from itsdangerous import URLSafeSerializer
from sqlalchemy import event, select, text

from rapport.access.models import TenantSecret
from rapport.access.pseudonyms import pseudonym
from rapport.access.scope import Scope
from rapport.access.secrets import MOST_VERSIONS
from rapport.access.service import create_tenant
from rapport.campaigns.delivery import unsubscribing
from rapport.channels import service as channels
from rapport.channels.kinds.email import unsubscribe_headers
from rapport.channels.messages import Origin
from rapport.errors import Conflict, Invalid, NotFound
from rapport.messaging.contactability import preferences, suppressions
from rapport.messaging.models import Suppression
from rapport.stores import Stores

CUSTOMERS = ("Q1001", "Zoë", "plain")


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    channels.create_channel(scope, "Letters & more", "email", id=504)
    scope.warehouse.insert("customers", ["customer_id"], [[customer] for customer in CUSTOMERS])


def origin(campaign_id: int) -> Origin:
    return Origin(504, campaign_id, 11, 2, 7, "2025-03-14")


def address(scope: Scope, customer_id: str, campaign_id: int) -> str:
    return suppressions.unsubscribe_links(scope)(customer_id, origin(campaign_id))


def token(url: str) -> str:
    return "/unsubscribe/" + url.rpartition("/")[2]


def interactions(scope: Scope, campaign_id: int) -> list[tuple[object, ...]]:
    sql = """
        SELECT toString(delivery_date), customer_id, channel_id, template_id, recipient_group_id, action_id, event_id,
               toString(interaction_at)
        FROM campaign_interactions WHERE campaign_id = {campaign_id:UInt32}
    """
    return scope.warehouse.rows(sql, campaign_id=campaign_id)


def suppressed(scope: Scope, channel_id: int) -> set[str]:
    table = preferences.suppressions(scope, channel_id)
    assert isinstance(table, pa.Table)
    assert table.schema == pa.schema([("customer_id", pa.string()), ("reason", pa.string())])
    return set(table.column("customer_id").to_pylist())


def test_a_get_shows_a_page_and_changes_nothing(scope: Scope, base_url: str) -> None:
    path = token(address(scope, "plain", 1))
    answer = httpx.get(base_url + path)
    assert answer.status_code == 200
    assert "Letters &amp; more" in answer.text
    assert '<form method="post">' in answer.text
    assert httpx.head(base_url + path).status_code in (200, 405)
    assert "plain" not in suppressed(scope, 504)
    assert interactions(scope, 1) == []


def test_one_click_needs_no_cookie_and_no_key(scope: Scope, base_url: str) -> None:
    scope.clock.set(datetime(2025, 3, 15, 9, 30, 1, 250000, tzinfo=UTC))
    path = token(address(scope, "Zoë", 2))
    for _ in range(3):
        answer = httpx.post(base_url + path, data={"List-Unsubscribe": "One-Click"}, follow_redirects=False)
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
    scope.clock.set(None)
    assert "Zoë" in suppressed(scope, 504)
    assert "Zoë" not in suppressed(scope, 505)
    assert interactions(scope, 2) == [("2025-03-14", "Zoë", 504, 11, 2, 7, 4, "2025-03-15 09:30:01.250")]


def test_clicks_at_the_same_time_are_one_interaction(scope: Scope) -> None:
    people, at_once = [f"Hasty {number}" for number in range(5)], 8
    together = Barrier(at_once)

    def click(_: int) -> None:
        for customer in people:
            together.wait()
            unsubscribing.unsubscribe(scope, customer, origin(8))

    with ThreadPoolExecutor(at_once) as threads:
        list(threads.map(click, range(at_once)))
    assert sorted(str(row[1]) for row in interactions(scope, 8)) == people
    assert set(people) <= suppressed(scope, 504)


def test_a_repeated_link_makes_no_work_and_holds_up_nobody(scope: Scope, base_url: str) -> None:
    worked: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, bound: Any, *_rest: Any) -> None:
        if "INSERT INTO suppressions" in statement and scope.tenant_id in dict(bound).values():
            worked.append(statement)

    flooded, other = (token(address(scope, who, 7)) for who in ("Flooded", "plain"))
    event.listen(scope.stores.records.engine, "before_cursor_execute", note)
    try:
        assert {httpx.post(base_url + flooded).status_code for _ in range(25)} == {200}
    finally:
        event.remove(scope.stores.records.engine, "before_cursor_execute", note)
    assert 1 <= len(worked) <= 10, "the limit, and as often again should the window have ended meanwhile"
    assert "Flooded" in suppressed(scope, 504) and "Flooded" not in suppressed(scope, 505)
    assert httpx.post(base_url + flooded, data={"scope": "all"}).status_code == 200
    assert httpx.post(base_url + other).status_code == 200
    assert "Flooded" in suppressed(scope, 505) and "plain" in suppressed(scope, 504)
    suppressions.allow(scope, "plain", 504)
    assert httpx.post(base_url + other).status_code == 200
    assert "plain" in suppressed(scope, 504), "who was let in again may change their mind again"
    suppressions.allow(scope, "plain", 504)


def test_everything_can_be_stopped_at_once(scope: Scope, base_url: str) -> None:
    path = token(address(scope, "Q1001", 3))
    assert httpx.post(base_url + path, data={"scope": "all"}).status_code == 200
    assert "Q1001" in suppressed(scope, 504)
    assert "Q1001" in suppressed(scope, 505)


def test_a_link_of_a_test_message_leaves_no_interaction(scope: Scope, base_url: str) -> None:
    path = token(suppressions.unsubscribe_links(scope)("Unknown 1", Origin(504)))
    assert httpx.post(base_url + path).status_code == 200
    assert "Unknown 1" in suppressed(scope, 504)


def test_a_click_after_an_erasure_names_nobody_again(scope: Scope, api: httpx.Client, base_url: str) -> None:
    scope.warehouse.insert("customers", ["customer_id", "EMAIL"], [["Leaver-1", "leaver@example.com"]])
    link = suppressions.unsubscribe_links(scope)("Leaver-1", origin(31), "leaver@example.com")
    assert api.delete("/manage/v1/persons/Leaver-1").status_code == 204
    for form in ({}, {"scope": "all"}):
        assert httpx.post(base_url + token(link), data=form).status_code == 200
    person = pseudonym(scope, "Leaver-1")
    assert [row[1] for row in interactions(scope, 31)] == [f"erased-{person[:32]}"]
    with scope.reads() as session:
        mine = select(Suppression).where(Suppression.customer_key == person)
        kept = {(one.channel_id, one.customer_id, one.reason) for one in session.scalars(mine)}
        sql = "SELECT count(*) FROM {} WHERE lower(t::text) LIKE '%leaver-1%'"
        named = [session.scalar(text(sql.format(f"{name} AS t"))) for name in ("suppressions", "suppressed_addresses")]
    assert kept == {(504, "", "unsubscribed"), (0, "", "unsubscribed")}
    assert named == [0, 0]
    address = {"address": "Leaver@example.com"}
    listed = api.get("/manage/v1/suppressions/of-address", params=address).json()
    assert {one["channel_id"] for one in listed} == {None, 504}, "nobody is written to there, whoever has it"


def test_a_forged_link_is_refused(scope: Scope, base_url: str, stores: Stores) -> None:
    good = token(address(scope, "plain", 4))
    other = create_tenant(stores, f"other-{good[-20:]}")
    foreign = f"/unsubscribe/{other.tenant_id}." + good.partition(".")[2]
    head, _, signature = good.rpartition(".")
    changed = f"{head}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    for path in (foreign, changed, "/unsubscribe/x", "/unsubscribe/999999999999999.a.b", "/unsubscribe/3001."):
        assert httpx.get(base_url + path).status_code == 404
        assert httpx.post(base_url + path).status_code == 404
    assert "plain" not in suppressed(scope, 504) | suppressed(other, 504)


def test_links_outlive_the_secret_they_were_signed_with_for_the_grace(
    api: httpx.Client, scope: Scope, base_url: str
) -> None:
    first = token(address(scope, "plain", 7))
    assert f"/unsubscribe/{scope.tenant_id}.v1." in first
    # As links were before versions were told apart: SHA-1, and no version.
    signer = URLSafeSerializer(suppressions.link_keys(scope)[-1].value, salt="unsubscribe")
    old = f"/unsubscribe/{scope.tenant_id}.{signer.dumps(['plain', *astuple(origin(7))])}"
    assert [httpx.get(base_url + path).status_code for path in (first, old)] == [200, 200]

    made = api.post("/manage/v1/unsubscribe-links/rotate-secret", json={"grace_days": 30}).json()
    assert [(one["version"], one["ends_at"] is None) for one in made] == [(2, True), (1, False)]
    second = token(address(scope, "plain", 7))
    assert [httpx.get(base_url + path).status_code for path in (first, old, second)] == [200, 200, 200]
    moved = second.replace(".v2.", ".v1.")
    assert httpx.get(base_url + moved).status_code == 404

    api.post("/manage/v1/unsubscribe-links/rotate-secret", json={"grace_days": 0})
    assert [one["version"] for one in api.get("/manage/v1/unsubscribe-links/secrets").json()] == [3]
    assert [httpx.get(base_url + path).status_code for path in (first, old, second)] == [404, 404, 404]
    entry = api.get("/manage/v1/audit-entries").json()[0]
    assert (entry["action"], entry["object"]) == ("rotate", "secret of unsubscribe")
    assert entry["details"] == {"version": 3, "grace_days": 0}


def test_only_so_many_versions_of_the_secret_are_good_at_once(stores: Stores) -> None:
    scope, grace = create_tenant(stores, f"rotates-{uuid4()}"), timedelta(days=400)
    for number in range(1, MOST_VERSIONS):
        good = [one.version for one in suppressions.rotate_link_keys(scope, grace)]
        assert len(good) == number + 1
    with pytest.raises(Conflict, match=f"has {MOST_VERSIONS} valid versions"):
        suppressions.rotate_link_keys(scope, grace)
    assert [one.version for one in suppressions.link_keys(scope)] == good, "nothing ended by it"
    (last,) = suppressions.rotate_link_keys(scope, timedelta())
    assert last.version == good[0] + 1
    (last,) = suppressions.rotate_link_keys(scope, timedelta())
    with scope.reads() as session:
        kept = select(TenantSecret.version).filter_by(tenant_id=scope.tenant_id, purpose="unsubscribe")
        assert set(session.scalars(kept)) == {1, last.version}, "those that ended are forgotten"


@pytest.mark.parametrize("chunked", [False, True])
def test_nobody_without_a_key_is_read_out(scope: Scope, base_url: str, chunked: bool) -> None:
    """The address is public: of a body no more is taken than a form has, whether its length is told or not."""
    path = token(address(scope, "plain", 6))
    body = b"scope=all&" + b"a=b&" * 300
    answer = httpx.post(base_url + path, content=iter([body]) if chunked else body)
    assert answer.status_code == 413
    assert "plain" not in suppressed(scope, 504)


def test_headers_of_rfc_8058() -> None:
    assert unsubscribe_headers("https://r.example/unsubscribe/3001.a.b") == {
        "List-Unsubscribe": "<https://r.example/unsubscribe/3001.a.b>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def test_links_lead_to_the_public_address(scope: Scope) -> None:
    assert address(scope, "plain", 5).startswith(f"http://127.0.0.1:8600/unsubscribe/{scope.tenant_id}.")


def test_ids_compare_ignoring_case_and_keep_the_warehouse_spelling(scope: Scope) -> None:
    found, new = suppressions.suppress(scope, "zOË", 506, "bounced")
    again, not_new = suppressions.suppress(scope, "ZOË", 506, "complaint")
    assert (found.customer_id, new, again.reason, not_new) == ("Zoë", True, "bounced", False)
    assert suppressed(scope, 506) >= {"Zoë"}
    suppressions.allow(scope, "zoë", 506)
    assert "Zoë" not in suppressed(scope, 506)
    with pytest.raises(NotFound):
        suppressions.allow(scope, "zoë", 506)
    with pytest.raises(Invalid):
        suppressions.suppress(scope, "Zoë", 506, "dislike")


def test_suppressions_are_managed(api: httpx.Client) -> None:
    path = "/manage/v1/suppressions"
    body = {"customer_id": "managed", "channel_id": 504}
    assert api.post(path, json=body).status_code == 201
    assert api.post(path, json=body).status_code == 200
    assert api.post(path, json={"customer_id": "managed"}).status_code == 201
    assert api.post(path, json={"customer_id": "managed", "channel_id": 999}).status_code == 404
    assert api.post(path, json={"customer_id": "managed", "reason": "x"}).status_code == 400
    rows = api.get(path, params={"customer_id": "MANAGED"}).json()
    assert [(row["customer_id"], row["channel_id"], row["reason"]) for row in rows] == [
        ("managed", None, "manual"),
        ("managed", 504, "manual"),
    ]
    assert api.delete(path, params={"customer_id": "managed"}).status_code == 204
    assert api.delete(path, params={"customer_id": "managed"}).status_code == 404
    assert [row["channel_id"] for row in api.get(path, params={"customer_id": "managed"}).json()] == [504]
    assert len(api.get(path, params={"limit": 1}).json()) == 1
