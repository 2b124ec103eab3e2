"""Transactional templates that this process has read, with their streams: good as long as their rows are the same.

A request names a template, and to read it with its channel and brand takes longer than all else. So they are kept, and
the statement that enters a request makes sure that they still stand (see entering).
"""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.brands.models import BrandKind
from rapport.errors import NotFound
from rapport.messaging import templates
from rapport.messaging.editions import Editions
from rapport.messaging.models import Template
from rapport.stores.records import Records
from rapport.transactional.streams import Stream

# xmin names the transaction that wrote a row, so it is another one after each change.
STATE = f"""
    SELECT brands.id AS brand_id, channels.id AS channel_id,
        concat_ws(
            ' ', brands.xmin, channels.id, channels.xmin, templates.xmin,
            (SELECT max(CAST(CAST(xmin AS text) AS bigint)) FROM snippets WHERE tenant_id = :tenant_id)
        ) AS state
    FROM templates
    JOIN channels ON channels.tenant_id = templates.tenant_id AND channels.id = templates.channel_id
    JOIN brands ON brands.tenant_id = channels.tenant_id
        AND brands.id = CAST(channels.settings ->> 'brand_id' AS integer)
    WHERE templates.tenant_id = :tenant_id AND templates.id = :template_id AND brands.kind = '{BrandKind.TRANSACTIONAL}'
    ORDER BY brands.id, channels.id LIMIT 1
"""  # noqa: S608 - constants
READ_STATE = text(STATE)
MOST_KEPT = 1000
_KEPT: "WeakKeyDictionary[Records, dict[tuple[int, int], KnownTemplate]]" = WeakKeyDictionary()


@dataclass(frozen=True)
class KnownTemplate:
    """A template, where its mail leaves, and the names of its TRANS tags; state is that of their rows when they were
    read, or before.
    """

    template: Template
    stream: Stream
    expected: tuple[str, ...]
    state: str


def known_template(scope: Scope, template_id: int) -> KnownTemplate:
    """A transactional template, as it was when it was last read. Raises NotFound."""
    known = _kept(scope).get((scope.tenant_id, template_id))
    return known or read_again(scope, template_id)


def read_again(scope: Scope, template_id: int) -> KnownTemplate:
    """A transactional template as it is. Raises NotFound."""
    kept = _kept(scope)
    kept.pop((scope.tenant_id, template_id), None)
    with scope.stores.records.reading() as connection:
        parameters = {"tenant_id": scope.tenant_id, "template_id": template_id}
        row = connection.execute(READ_STATE, parameters).first()
    if row is None:
        raise NotFound(f"There is no transactional template {template_id}.")
    stream = Stream(row.brand_id, channels.channel(scope, row.channel_id))
    template = templates.template(scope, row.channel_id, template_id)
    known = KnownTemplate(template, stream, tuple(Editions(scope, template).transactional), row.state)
    if len(kept) >= MOST_KEPT:
        kept.clear()
    kept[scope.tenant_id, template_id] = known
    return known


def _kept(scope: Scope) -> dict[tuple[int, int], KnownTemplate]:
    return _KEPT.setdefault(scope.stores.records, {})
