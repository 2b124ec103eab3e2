"""Every table of either engine that holds or names persons is claimed by the package that declares it.

What is permanent is what migrations make: the models of the records, the warehouse's migrations. Whatever else stands
in a warehouse is made by code, and goes with the work that it was made for, or is named by a declaration's `made`.
"""

import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from table_owners import RECORDS, WAREHOUSE

from rapport.persons.declared import DECLARED
from rapport.stores import models
from rapport.stores.migrations import statements, warehouse_migrations

# Columns that hold a person, an address of one, or a name made of either.
PERSONAL = re.compile(
    r"(.*_)?(customer_(id|key)|user_id|profile_id|person|visitor(_id)?|same_as|holder|mark|recipient|addressee"
    r"|e?mail(_address)?|address|phone(_number)?|mobile(_number)?|(first|last|full)_?name|date_of_birth|birthday)(e?s)?"
)
# Those of other people, or of nobody.
OTHERS = {
    ("api_keys", "contact_email"): "whoever runs the program that has the key",
    ("login_tokens", "user_id"): "a user of Rapport, not a customer",
    ("brand_addresses", "address"): "an address of the company, from which it sends or takes answers",
    ("campaign_channels", "recipients"): "how many they are",
    ("trigger_firings", "is_visitor"): "a yes or no",
}
CREATE = re.compile(r"CREATE TABLE IF NOT EXISTS (?P<table>\w+)\s*\((?P<body>.*)\)\s*ENGINE = .*", re.DOTALL)
COLUMN = re.compile(r" +(?P<name>\w+) +[A-Z][^,]*,?")
INDEX = re.compile(r" +INDEX .*")
BRACKETED = re.compile(r"\([^()]*\)")
ALTER = re.compile(
    r"ALTER TABLE (?P<table>\w+) (?P<change>[A-Z]+ [A-Z]+)( IF NOT EXISTS)? (?P<name>\w+)\b.*", re.DOTALL
)
ADDED = "ADD COLUMN"
# Changes of a table that give it no column.
HARMLESS = {"ADD INDEX", "MATERIALIZE INDEX", "MATERIALIZE COLUMN", "MODIFY COLUMN"}
FOLDER = re.compile(r'data_dir(?:\.expanduser\(\))? / "(\w+)"')
SOURCE = Path(__file__).parents[2] / "src" / "rapport"
Columns = dict[str, set[str]]


@functools.cache
def records() -> Columns:
    return {table.name: {column.name for column in table.columns} for table in models.metadata.sorted_tables}


def columns_of(body: str) -> Iterator[str]:
    """The columns of a CREATE TABLE, which have a line each."""
    while (plain := BRACKETED.sub("", body)) != body:
        body = plain
    for line in body.splitlines():
        if line.strip() and not INDEX.fullmatch(line):
            column = COLUMN.fullmatch(line)
            assert column, f"teach this test to read {line!r}"
            yield column["name"]


@functools.cache
def warehouse() -> Columns:
    """Columns by table as the migrations make them; a statement that this cannot read fails."""
    found: Columns = {}
    for _, name, script in warehouse_migrations():
        for statement in statements(script):
            if made := CREATE.fullmatch(statement):
                found[made["table"]] = set(columns_of(made["body"]))
                continue
            changed = ALTER.fullmatch(statement)
            assert changed, f"{name}: teach this test to read {statement[:80]!r}"
            if changed["change"] == ADDED:
                found[changed["table"]].add(changed["name"])
            else:
                assert changed["change"] in HARMLESS, f"{name}: teach this test to read {statement[:80]!r}"
    return found


SCHEMAS = {"records": records, "warehouse": warehouse}


def claims(engine: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """The package and the columns that it names, by table."""
    return {table: (one.package, columns) for one in DECLARED for table, columns in getattr(one, engine).items()}


def unclaimed(engine: str, schema: Columns) -> list[str]:
    claimed = claims(engine)
    return [
        f"{table}.{column}"
        for table, columns in sorted(schema.items())
        for column in sorted(columns)
        if PERSONAL.fullmatch(column.lower())
        and (table, column) not in OTHERS
        and column not in claimed.get(table, ("", ()))[1]
        and not is_attribute(engine, table, column)
    ]


def is_attribute(engine: str, table: str, column: str) -> bool:
    """Whether a column is an attribute of customers, in upper case, beside the id that the table is claimed by."""
    return engine == "warehouse" and column.isupper() and "customer_id" in claims(engine).get(table, ("", ()))[1]


@pytest.mark.parametrize("engine", SCHEMAS)
def test_every_column_of_persons_is_claimed(engine: str) -> None:
    left = unclaimed(engine, SCHEMAS[engine]())
    assert left == [], f"a personal.py must claim them, or OTHERS in {__name__} say whose they are"


@pytest.mark.parametrize("engine", SCHEMAS)
def test_what_is_claimed_is_there_once(engine: str) -> None:
    schema = SCHEMAS[engine]()
    assert schema, "nothing was read"
    tables = [table for one in DECLARED for table in getattr(one, engine)]
    assert len(tables) == len(set(tables)), "two packages claim a table"
    for table, (package, columns) in claims(engine).items():
        assert set(columns) <= schema.get(table, set()), f"{package} claims columns of {table} that there are not"


def test_there_are_the_columns_of_others() -> None:
    assert [f"{table}.{column}" for table, column in OTHERS if column not in records()[table]] == []


@pytest.mark.parametrize(("engine", "owned"), [("records", RECORDS), ("warehouse", WAREHOUSE)])
def test_a_package_claims_its_own_tables(engine: str, owned: dict[str, tuple[str, ...]]) -> None:
    assert [table for table, (package, _) in claims(engine).items() if table not in owned[package]] == []


def test_folders_of_the_data_folder_are_claimed() -> None:
    found = {
        (path.relative_to(SOURCE).parts[0], folder)
        for one in DECLARED
        for path in (SOURCE / one.package).rglob("*.py")
        for folder in FOLDER.findall(path.read_text())
    }
    assert found == {(one.package, folder) for one in DECLARED for folder in one.files}


def test_only_rows_that_an_erasure_could_take_are_kept_from_it() -> None:
    for one in DECLARED:
        assert one.kept_tables <= one.warehouse.keys(), one.package


def test_columns_by_which_a_new_table_would_name_persons_are_told() -> None:
    """A table of any name, also one that begins as tables aside do, is not overlooked."""
    for column in ("customer_id", "old_customer_id", "person", "visitor_id", "recipient_address", "EMAIL", "to_phone"):
        assert unclaimed("warehouse", {"run_of_letters": {column}}) == [f"run_of_letters.{column}"]
        assert unclaimed("records", {"list_of_letters": {column}}) == [f"list_of_letters.{column}"]
    assert unclaimed("records", {"letters": {"channel_id", "address_attribute", "market"}}) == []
