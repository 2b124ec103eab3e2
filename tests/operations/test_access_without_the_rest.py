"""What the commands about tenants and keys ask for is answered by a program that has loaded nothing else of the API."""

import json
import subprocess
import sys
from pathlib import Path

CALLS = """
import json, sys
from pathlib import Path
from rapport.commands.connection import connected
from rapport.errors import RapportError
from rapport.settings import Settings

with connected(Settings(data_dir=Path(sys.argv[1])), access=True) as connection:
    call = connection.call
    tenant = call("POST", "/manage/v1/tenants", None, {"name": "North", "time_zone": "Europe/Berlin"})
    domains = call("PUT", "/manage/v1/operator/sender-domains/north.example", "North")
    limits = call("PATCH", "/manage/v1/tenants/current/limits", "North", {"keys": 1})
    key = {"nickname": "CRM", "contact_email": "crm@north.example", "access_type": "Admin"}
    created = call("POST", "/manage/v1/keys", "North", key)
    refusals = []
    for method, path, body in (("POST", "keys", key), ("POST", "tenants", {"name": 1}), ("GET", "series", None)):
        try:
            call(method, f"/manage/v1/{path}", "North", body)
        except RapportError as error:
            refusals.append(error.message)
    disabled = call("POST", f"/manage/v1/keys/{created['id']}/disable", "North")
    keys = call("GET", "/manage/v1/keys", "North")
    tenants = call("GET", "/manage/v1/tenants")
print(json.dumps([tenant["id"], domains, limits["keys"], refusals, disabled["status"], keys, tenants,
    "rapport.app" in sys.modules]))
"""


def test_tenants_domains_limits_and_keys(folder: Path) -> None:
    command = [sys.executable, "-c", CALLS, str(folder / "access")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert ended.returncode == 0, ended.stderr
    tenant_id, domains, most_keys, (*refusals, unserved), status, keys, tenants, has_all = json.loads(
        ended.stdout.splitlines()[-1]
    )
    assert (domains, most_keys, status) == ({"sender_domains": ["north.example"]}, 1, "Disabled")
    assert [(key["nickname"], key["status"]) for key in keys] == [("CRM", "Disabled")]
    assert [(tenant["id"], tenant["name"], tenant["time_zone"]) for tenant in tenants] == [
        (tenant_id, "North", "Europe/Berlin")
    ]
    assert refusals == [
        "The tenant has 1 keys, and may have 1: delete one that is not used; only the operator can raise the limit.",
        "name: must be a text.",
    ]
    assert unserved.startswith("There is no path /manage/v1/series")
    assert not has_all
