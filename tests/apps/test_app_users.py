"""Users of an app as servers of its company read them: customers with their installs, and installs of nobody known."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from app_clients import AppClient, app_client

from rapport.access.scope import Scope


@pytest.fixture(scope="module")
def app(api: httpx.Client, scope: Scope) -> Iterator[AppClient]:
    with app_client(api, scope) as client:
        for install_id, user in (("u-1", "Zoe"), ("u-2", "zoe"), ("u-3", "Adam"), ("u-4", "u-4"), ("adam", "adam")):
            client.tell(install_id, "k.stats.userAssociated", {"id": user})
        client.tell("u-1", "k.push.deviceRegistered", {"type": 2, "token": "fcm-1"})
        client.tell("u-3", "k.inApp.statusUpdated", {"consented": True})
        yield client


def shown(users: list[dict[str, Any]]) -> list[tuple[str, bool, list[str]]]:
    return [
        (user["userIdentifier"], user["isAnonymous"], sorted(one["installId"] for one in user["installs"]))
        for user in users
    ]


def test_users_come_in_pages(app: AppClient) -> None:
    pages = []
    for number in (1, 2, 3):
        answer = app.server.get("/v2/users", params={"currentPage": number, "numberPerPage": 2})
        assert answer.status_code == 200, answer.text
        pages.append(shown(answer.json()))
    spelled = pages[0][1][0]
    assert spelled in ("Zoe", "zoe")
    assert pages == [
        [("Adam", False, ["u-3"]), (spelled, False, ["u-1", "u-2"])],
        [("adam", True, ["adam"]), ("u-4", True, ["u-4"])],
        [],
    ]


def test_a_user_is_found_by_the_identifier(app: AppClient) -> None:
    answer = app.server.get("/v2/users/ZOE")
    assert shown([answer.json()])[0][1:] == (False, ["u-1", "u-2"])
    by_id = {one["installId"]: one for one in answer.json()["installs"]}
    assert (by_id["u-1"]["pushSubscribed"], by_id["u-2"]["pushSubscribed"]) == (True, False)
    assert shown([app.server.get("/v2/users/u-4").json()]) == [("u-4", True, ["u-4"])]
    assert shown([app.server.get("/v2/users/adam").json()]) == [("Adam", False, ["u-3"])], "a customer comes first"
    missing = app.server.get("/v2/users/nobody")
    assert missing.status_code == 404 and "There is no user 'nobody'." in missing.text


@pytest.mark.parametrize(
    "query", ["", "currentPage=1", "currentPage=0&numberPerPage=5", "currentPage=1&numberPerPage=1001"]
)
def test_a_page_must_be_named(app: AppClient, query: str) -> None:
    assert app.server.get(f"/v2/users?{query}").status_code in (400, 422)


def test_only_the_server_key_of_the_app_reads_its_users(app: AppClient, api: httpx.Client, scope: Scope) -> None:
    query = {"currentPage": 1, "numberPerPage": 50}
    assert app.device.get("/v2/users", params=query).status_code == 401
    assert app.device.get("/v2/users/Zoe").status_code == 401
    with app_client(api, scope, name=f"Other {uuid.uuid4()}") as other:
        assert other.server.get("/v2/users", params=query).json() == []
        assert other.server.get("/v2/users/Zoe").status_code == 404
