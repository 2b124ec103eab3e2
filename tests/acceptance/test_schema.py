"""Generated requests over the whole OpenAPI with an Admin key: whatever is sent, never a 5xx."""

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case

EXAMPLES = 3


@pytest.mark.filterwarnings("ignore")
def test_never_a_server_error(base_url: str, api: httpx.Client) -> None:
    schema = schemathesis.openapi.from_url(f"{base_url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    faults: list[str] = []
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
            answer = case.call(headers={"X-API-KEY": api.headers["X-API-KEY"]})
            if answer.status_code >= 500:
                faults.append(f"{case.method} {case.formatted_path}: {answer.status_code} {answer.text[:200]}")

        probe()
    assert faults == []
    assert len(operations) == sum(map(len, api.get("/openapi.json").json()["paths"].values())) > 150
