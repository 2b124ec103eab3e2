"""Clients generated from the document: each generator that is at hand makes one that compiles and lacks nothing.

A generator is looked for on the PATH and beside OPENAPI_TOOLS, a folder of programs.
"""

import compileall
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rapport.app import openapi_document

DOCUMENT = openapi_document()
OPERATIONS = [one for item in DOCUMENT["paths"].values() for one in item.values()]
SCHEMAS = DOCUMENT["components"]["schemas"]
# What a key of a tenant can list without naming anything.
LISTS = [
    one["get"]["operationId"]
    for path, one in DOCUMENT["paths"].items()
    if path.startswith("/manage/v1/") and "{" not in path and "/operator/" not in path and path != "/manage/v1/tenants"
    if "get" in one and not any(part.get("required") for part in one["get"].get("parameters", []))
    # An answer that is a page or a file is no list.
    for answer in [one["get"]["responses"]["200"]["content"].get("application/json", {})]
    if answer.get("schema", {}).get("type") == "array"
]
# Bodies of forms are no objects of their own for every generator.
OBJECTS = [name for name, schema in SCHEMAS.items() if "properties" in schema and not name.startswith("Body_")]


def program(name: str) -> str:
    """The path of a program; the test is skipped where it is not at hand."""
    places = os.pathsep.join([os.environ.get("OPENAPI_TOOLS", ""), os.environ["PATH"]])
    found = shutil.which(name, path=places)
    if found is None:
        pytest.skip(f"{name} is not installed: put it on the PATH, or its folder into OPENAPI_TOOLS")
    return found


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(DOCUMENT))
    return path


def fill(api: httpx.Client) -> None:
    """Make a tenant have one thing of each kind that others name, for the clients to read."""
    if api.get("/manage/v1/triggers").json():
        return
    place = {"channel_id": 505, "template_id": 1}
    for path, body in (
        ("channels", {"name": "SMS", "kind": "external"}),
        ("actions", {"name": "Hello"}),
        ("event-types", {"name": "signup"}),
        ("target-groups", {"name": "All", "definition": {"all": []}}),
        (
            "series",
            {
                "name": "Daily",
                "target_group_id": 1,
                "schedule": {"kind": "daily", "start_date": "2031-01-01"},
                "groups": [{"action_id": 2, "channels": [place]}],
            },
        ),
        (
            "triggers",
            {
                "name": "Welcome",
                "trigger": {"kind": "simple", "event": "signup"},
                "groups": [{"action_id": 2, "channels": [place]}],
            },
        ),
    ):
        answer = api.post(f"/manage/v1/{path}", json=body)
        assert answer.status_code == 201, answer.text


def run(*command: str | Path, **more: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def parts(schema: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Everything inside a schema, with where it is."""
    if isinstance(schema, dict):
        yield path, schema
        for name, inner in schema.items():
            yield from parts(inner, f"{path}.{name}")
    elif isinstance(schema, list):
        for number, inner in enumerate(schema):
            yield from parts(inner, f"{path}[{number}]")


def test_names_are_those_of_one_thing_each() -> None:
    """What generators make classes and modules of; many ignore case."""
    for names in (
        [one["operationId"] for one in OPERATIONS],
        [schema.get("title", name) for name, schema in SCHEMAS.items()],
    ):
        assert [name for name, times in Counter(name.lower() for name in names).items() if times > 1] == []
        assert [name for name in names if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)] == []
    inside = [one for name, schema in SCHEMAS.items() for part in schema.values() for one in parts(part, name)]
    assert [path for path, one in inside if isinstance(one.get("title"), str)] == []


def test_a_value_is_of_one_type_or_null() -> None:
    kinds = [(path, one["type"]) for path, one in parts(DOCUMENT, "") if isinstance(one.get("type"), list)]
    assert [path for path, found in kinds if len(set(found) - {"null"}) > 1] == []


def test_openapi_python_client(written: Path, tmp_path: Path, base_url: str, api: httpx.Client) -> None:
    """Every call and object is there, and reads what the server says."""
    tool, client = program("openapi-python-client"), tmp_path / "rapport_client"
    fill(api)
    said = run(tool, "generate", "--path", written, "--output-path", client, "--meta", "none")
    assert "duplicate" not in said and "unsupported" not in said.lower(), said
    assert compileall.compile_dir(client, quiet=1)
    modules = {path.stem.replace("_", "") for path in (client / "api").rglob("*.py")}
    assert {one["operationId"].lower().replace("_", "") for one in OPERATIONS} <= modules
    models = (client / "models" / "__init__.py").read_text()
    assert [name for name in OBJECTS if name != "Problem" and not re.search(rf"import .*\b{name}\b", models)] == []
    reading = f"""
from importlib import import_module
from pathlib import Path
from rapport_client import Client
client = Client("{base_url}", headers={{"X-API-KEY": "{api.headers["X-API-KEY"]}"}})
calls = {{path.stem.replace("_", ""): path for path in Path("rapport_client/api").rglob("*.py")}}
for name in {LISTS}:
    call = import_module(".".join(calls[name.lower().replace("_", "")].with_suffix("").parts))
    assert isinstance(call.sync(client=client), list), name
print(len(import_module("rapport_client.api.management_triggers.list_triggers").sync(client=client)))
"""
    assert run(Path(tool).resolve().parent / "python", "-c", reading, cwd=tmp_path) == "1\n"


def test_openapi_generator(written: Path, tmp_path: Path, base_url: str, api: httpx.Client) -> None:
    tool, client = program("openapi-generator-cli"), tmp_path / "client"
    fill(api)
    made = ("generate", "-g", "python", "-i", written, "-o", client, "--package-name", "rapport_client")
    run(tool, *made)
    assert compileall.compile_dir(client / "rapport_client", quiet=1)
    models = {path.stem.replace("_", "") for path in (client / "rapport_client" / "models").glob("*.py")}
    assert {name.lower().replace("_", "") for name in OBJECTS} <= models
    for path in (client / "rapport_client" / "models").glob("*.py"):
        classes = re.findall(r"^class (\w+)\(", path.read_text(), re.MULTILINE)
        assert len(classes) == len(set(classes)), path.name
    reading = f"""
import re, rapport_client
client = rapport_client.ApiClient(rapport_client.Configuration(host="{base_url}"), "X-API-KEY",
                                  "{api.headers["X-API-KEY"]}")
parts = [getattr(rapport_client, name)(client) for name in dir(rapport_client) if name.endswith("Api")]
def answer(name):
    called = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return next(getattr(part, called) for part in parts if hasattr(part, called))()
for name in {LISTS}:
    assert isinstance(answer(name), list), name
print(len(answer("ListTriggers")))
"""
    # What such a client imports, Rapport has installed.
    assert run(sys.executable, "-c", reading, cwd=client) == "1\n"


def test_openapi_typescript(written: Path, tmp_path: Path) -> None:
    types = tmp_path / "rapport.ts"
    run(program("openapi-typescript"), written, "-o", types)
    run(program("tsc"), "--strict", "--noEmit", types)
    text = types.read_text()
    assert [one["operationId"] for one in OPERATIONS if one["operationId"] not in text] == []
