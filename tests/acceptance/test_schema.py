"""Generated requests over the whole OpenAPI with an Admin key: whatever is sent, never a 5xx."""

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from requests import Response
from schemathesis import Case

from rapport.access import keys
from rapport.access.scope import Scope

EXAMPLES = 2
# Routes that an Admin key opens: the others take tokens of apps, servers and vendors, or an operator.
OPENED = ("/current/", "/manage/")


class Caller:
    """Who asks with an Admin key, and with a new one once a request has disabled or deleted the last."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._use_new_key()

    def _use_new_key(self) -> None:
        _, self._secret = keys.create_key(self._scope, "generated", "generated@example.com", "Admin")

    def call(self, case: Case) -> Response:
        answer = case.call(headers={"X-API-KEY": self._secret})
        if answer.status_code == 401 and case.path.startswith(OPENED):
            self._use_new_key()
            answer = case.call(headers={"X-API-KEY": self._secret})
        return answer


@pytest.mark.filterwarnings("ignore")
def test_never_a_server_error(base_url: str, api: httpx.Client, scope: Scope) -> None:
    schema = schemathesis.openapi.from_url(f"{base_url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    caller, faults, refused = Caller(scope), list[str](), list[str]()
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def probe(case: Case) -> None:
            answer = caller.call(case)
            if answer.status_code >= 500:
                faults.append(f"{case.method} {case.formatted_path}: {answer.status_code} {answer.text[:200]}")
            if answer.status_code == 401 and case.path.startswith(OPENED):
                refused.append(f"{case.method} {case.formatted_path}")

        probe()
    assert faults == []
    assert refused == [], "a request that is refused for its key tests nothing"
    assert len(operations) == sum(map(len, api.get("/openapi.json").json()["paths"].values())) > 150
