"""A template is sent to the tenant's testers, marked as a test."""

import httpx
from mail_server import serving
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.channels import service


def test_only_listed_addresses_get_a_test(api: httpx.Client, scope: Scope) -> None:
    with serving() as server:
        settings = {"host": "127.0.0.1", "port": server.port, "from_address": "a@shop.example"}
        service.create_channel(scope, "Email", "email", settings=settings)
        body = {
            "name": "T",
            "subject": "Hi [%FIRST_NAME:you%]",
            "html": "<a href='[%UNSUB%]'>x</a>",
            "from_name": "Kim",
        }
        number = api.post("/manage/v1/channels/504/templates", json=body).json()["id"]
        path = f"/manage/v1/channels/504/templates/{number}/test-sends"
        assert "test_addresses" in api.post(path, json={}).json()["detail"]
        listed = {"settings": {"messaging": {"test_addresses": ["qa@shop.example", "550-x@shop.example"]}}}
        assert api.patch("/manage/v1/tenants/current", json=listed).status_code == 200
        wrong = {"settings": {"messaging": {"test_addresses": ["nobody"]}}}
        assert api.patch("/manage/v1/tenants/current", json=wrong).status_code == 400
        assert api.post(path, json={"to": ["else@shop.example"]}).status_code == 400
        only = api.post(path, json={"to": ["QA@shop.example"], "values": {"FIRST_NAME": "Lee"}}).json()
        assert [(row["to"], row["outcome"]) for row in only] == [("qa@shop.example", "sent")]
        (mail,) = server.arrived
        assert (mail["Subject"], mail["X-Rapport-Test"]) == ("[Test] Hi Lee", "yes")
        assert mail["From"] == "Kim <a@shop.example>"
        outcomes = {row["to"]: row["outcome"] for row in api.post(path, json={}).json()}
        assert outcomes == {"qa@shop.example": "sent", "550-x@shop.example": "failed"}
    with scope.reads() as session:
        for table in ("messages", "suppressed_addresses", "soft_bounces"):
            rows = session.execute(text(f"SELECT count(*) FROM {table} WHERE tenant_id = :t"), {"t": scope.tenant_id})
            assert rows.scalar() == 0, "nothing counts it"
