"""Every table has one owner, who alone writes it; what others read of it is listed. table_owners.py is the map."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from table_owners import READS, RECORDS, WAREHOUSE, WRITES

from rapport.stores.models import metadata
from rapport.stores.records import Base

SOURCE = Path(__file__).parents[2] / "src" / "rapport"
OWNER = {table: owner for owners in (RECORDS, WAREHOUSE) for owner, tables in owners.items() for table in tables}
MADE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)")
NAMED = re.compile(
    r"\b(INSERT INTO|DELETE FROM|UPDATE|ALTER TABLE|TRUNCATE(?: TABLE)?|EXCHANGE TABLES|RENAME TABLE|REPLACE TABLE"
    r"|DROP TABLE(?: IF EXISTS)?|FROM|JOIN|USING)\s+(?:ONLY )?\"?([a-z_]+)\b"
)
READING = ("FROM", "JOIN", "USING")
# Tables whose names are everyday words: such a word by itself is no use of the table.
WORDS = {*RECORDS["access"], *(table for table in OWNER if "_" not in table)}
WRITING = re.compile(r"_?(insert|replace|write|add|delete|drop|clear|fill)(_\w+)?")
ADDING = {"session.add", "session.add_all", "session.merge"}
STATEMENTS = {"insert", "update", "delete"}


class Use(NamedTuple):
    """Of a table, by a package; where is the module and the line."""

    table: str
    package: str
    writes: bool
    where: str


@functools.cache
def models() -> dict[tuple[str, str], str]:
    """The table of each model, by package and class."""
    assert metadata is Base.metadata
    mapped = (mapper.class_ for mapper in Base.registry.mappers)
    return {(model.__module__.split(".")[1], model.__name__): model.__tablename__ for model in mapped}


class Uses:
    """The uses of tables in the source of one module."""

    def __init__(self, module: str, source: str) -> None:
        tree = ast.parse(source)
        self.module, self.nodes = module, [*ast.walk(tree)]
        self.package = module.partition("/")[0].removesuffix(".py")
        self.constants = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        # A row that is made is a write in a module that adds rows; in others it only stands for one.
        self.adds = any(isinstance(node, ast.Call) and ast.unparse(node.func) in ADDING for node in self.nodes)
        self.models: dict[str, str] = {}
        self.packages: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rapport."):
                self._import(node.module or "", node.names)

    def _import(self, module: str, names: list[ast.alias]) -> None:
        other = module.split(".")[1]
        for alias in names:
            name = alias.asname or alias.name
            if table := models().get((other, alias.name)):
                self.models[name] = table
            if module == f"rapport.{other}":
                self.packages[name] = other

    def all(self) -> Iterator[Use]:
        """Each table that a module names, in SQL, by its model, or to whoever puts it into SQL."""
        passed_by = {id(node) for node in self._no_uses()}
        for node in self.nodes:
            if id(node) in passed_by:
                continue
            for table, writes in (*self._in_sql(node), *self._by_name(node), *self._by_model(node)):
                yield Use(table, self.package, writes, f"{self.module}:{node.lineno}")

    def _no_uses(self) -> Iterator[ast.AST]:
        """Docstrings, and the names of types."""
        for node in self.nodes:
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                yield node.value
            for part in (getattr(node, name, None) for name in ("annotation", "returns", "slice")):
                if isinstance(part, ast.AST):
                    yield from ast.walk(part)

    def text(self, node: ast.AST | None, depth: int = 5) -> str:
        """A string as far as it is written in the module; what is not known of it is a question mark."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ast.JoinedStr):
            return "".join(self.text(part, depth) for part in node.values)
        if isinstance(node, ast.FormattedValue):
            return self.text(node.value, depth)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self.text(node.left, depth) + self.text(node.right, depth)
        if isinstance(node, ast.Name) and depth and node.id in self.constants:
            return self.text(self.constants[node.id], depth - 1)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            template = self.text(node.func.value, depth)
            for given in node.keywords:
                template = template.replace(f"{{{given.arg}}}", self.text(given.value, depth))
            return template
        return "?"

    def _in_sql(self, node: ast.AST) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp | ast.Call):
            for verb, table in NAMED.findall(self.text(node)):
                if table in OWNER:
                    yield table, verb not in READING

    def _by_name(self, node: ast.AST) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.Constant) and node.value in OWNER and node.value not in WORDS:
            yield str(node.value), False
        if isinstance(node, ast.Call) and WRITING.fullmatch(_name(node.func)):
            named = {self.text(argument) for argument in node.args}
            into_warehouse = _name(node.func).startswith(("insert", "replace"))
            yield from ((table, True) for table in named & OWNER.keys() if into_warehouse or table not in WORDS)

    def _model(self, node: ast.AST | None) -> str:
        if isinstance(node, ast.Name):
            return self.models.get(node.id, "")
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return models().get((self.packages.get(node.value.id, ""), node.attr), "")
        return ""

    def _by_model(self, node: ast.AST) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.Call):
            if self.adds and (table := self._model(node.func)):
                yield table, True
            if _name(node.func) in STATEMENTS and node.args and (table := self._model(node.args[0])):
                yield table, True
        if table := self._model(node):
            yield table, False


def _name(called: ast.AST) -> str:
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""


@functools.cache
def uses() -> tuple[Use, ...]:
    """All uses by all modules but the steps of the records' schema, which concern every table."""
    paths = sorted(path for path in SOURCE.rglob("*.py") if "records_migrations" not in path.parts)
    return tuple(use for path in paths for use in Uses(path.relative_to(SOURCE).as_posix(), path.read_text()).all())


def listed() -> set[tuple[str, str]]:
    """Who may read a table of another: table and package."""
    return {(table, reader) for reader, why in READS.items() for tables in why.values() for table in tables}


def test_every_table_has_one_owner() -> None:
    steps = (SOURCE / "stores" / "warehouse_migrations").glob("*.sql")
    made = {table for step in steps for table in MADE.findall(step.read_text())}
    for owners, tables in ((WAREHOUSE, made), (RECORDS, {*metadata.tables})):
        owned = [table for tables_of_owner in owners.values() for table in tables_of_owner]
        assert sorted(owned) == sorted(tables)
    assert {table: owner for (owner, _), table in models().items()}.items() <= OWNER.items(), "a model is the owner's"


def test_only_its_owner_writes_a_table() -> None:
    found = {(use.table, use.package): use.where for use in uses() if use.writes and OWNER[use.table] != use.package}
    assert {key: where for key, where in found.items() if key not in WRITES} == {}, "ask the owner to write"
    assert WRITES.keys() <= found.keys(), "an exception for what nobody does any more"


def test_what_is_read_of_the_tables_of_others_is_listed() -> None:
    found = {(use.table, use.package): use.where for use in uses() if OWNER[use.table] != use.package}
    allowed = listed() | WRITES.keys()
    assert {key: where for key, where in found.items() if key not in allowed} == {}, "ask the owner, or say why not"
    assert listed() <= found.keys(), "listed, and not read any more"


@pytest.mark.parametrize(
    ("line", "table", "writes"),
    [
        ('SQL = "INSERT INTO campaign_leases SELECT 1"', "campaign_leases", True),
        ('SQL = f"DELETE FROM {T} WHERE x"', "promotions", True),
        ('SQL = "DELETE" + REST', "campaigns", True),
        ('SQL = "UPDATE {table} SET x".format(table="actions")', "actions", True),
        ('database.insert("campaign_outcomes", [], [])', "campaign_outcomes", True),
        ('_write(scope, "campaign_recipients", [])', "campaign_recipients", True),
        ('replace_partition(scope, "profiles", day)', "profiles", True),
        ("session.add(Suppression(tenant_id=1))", "suppressions", True),
        ("rows = [Suppression(tenant_id=1)]; session.add_all(rows)", "suppressions", True),
        ("never = Suppression(tenant_id=1)", "suppressions", False),
        ("update(access.Tenant).values(name=1)", "tenants", True),
        ("delete(Suppression)", "suppressions", True),
        ('SQL = "SELECT 1 FROM a JOIN channels USING (id)"', "channels", False),
        ("select(Suppression.reason)", "suppressions", False),
        ('READ = ("target_group_members",)', "target_group_members", False),
        ('"""Rows come FROM channels."""', "", False),
        ("def wanted(suppression: Suppression, more: list[Suppression]) -> Suppression: ...", "", False),
        ('SQL = "SELECT 1 FROM wherever FOR UPDATE"', "", False),
    ],
)
def test_a_use_is_seen_however_it_is_written(line: str, table: str, writes: bool) -> None:
    given = """
from rapport.access import models as access
from rapport.messaging.models import Suppression
T = "promotions"
REST = " FROM campaigns"
"""
    seen = set(Uses("api/sample.py", given + line).all()) - set(Uses("api/sample.py", given).all())
    of_line = Use(table, "api", writes, f"api/sample.py:{given.count(chr(10)) + 1}")
    assert of_line in seen if table else not seen
