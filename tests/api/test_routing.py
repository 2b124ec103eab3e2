"""Routes are found by how their paths begin, and they are those that trying all of them in their order finds."""

import re
from collections.abc import Sequence

import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute, Match

from rapport.api.http.routing import ByBeginning
from rapport.app import create_app
from rapport.stores import Stores

VALUES = ("2", "x", "channels", "")


@pytest.fixture(scope="module")
def app(stores: Stores) -> FastAPI:
    return create_app(stores)


def matching(routes: Sequence[BaseRoute], path: str, method: str) -> list[tuple[int, Match]]:
    scope = {"type": "http", "path": path, "method": method, "root_path": "", "headers": []}
    found = [(id(route), route.matches(scope)[0]) for route in routes]
    return [(route, match) for route, match in found if match is not Match.NONE]


def test_the_same_routes_are_found(app: FastAPI) -> None:
    by_beginning = ByBeginning(app.router)
    paths = {str(getattr(route, "path", "/")) for route in app.routes}
    asked = {re.sub("{[^}]*}", value, path) for path in paths for value in VALUES}
    asked |= {path + end for path in paths for end in ("/", "/more")} | {
        "/",
        "//",
        "/nowhere",
        "/manage/v1",
        "/current",
    }
    tried = []
    for path in sorted(asked):
        for method in ("GET", "DELETE"):
            routes = by_beginning.meant(path).routes
            assert matching(routes, path, method) == matching(app.routes, path, method), path
            tried.append(len(routes))
    assert sum(tried) / len(tried) < len(app.routes) / 5, "few are tried"


def test_routes_that_come_later_are_found(app: FastAPI) -> None:
    by_beginning = ByBeginning(app.router)
    before = by_beginning.meant("/later/1").routes
    app.add_api_route("/later/{number}", lambda number: number)
    assert len(by_beginning.meant("/later/1").routes) == len(before) + 1
