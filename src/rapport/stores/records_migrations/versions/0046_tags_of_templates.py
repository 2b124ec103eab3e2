"""Some placeholders with a default would be tags of another meaning: templates that have them say what they said.

A default after the name of a prefix (UPPER:x), of EVENT or of TRANS, and one of PRODUCTS that is a number, become the
ELSE of a condition. One after a tag of the present is left out. What was named like the beginning or end of a branch is
its default.
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

PLACEHOLDER = re.compile(r"\[%\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?::((?:(?!%\]|\[%).)*))?%\]", re.DOTALL)
CONDITIONAL = {"TITLE_CASE", "LOWER", "UPPER", "EVENT", "TRANS"}
OF_THE_PRESENT = {"CURRENT_DATE", "TOMORROW_DATE", "CURRENT_TIME"}
BRANCHES = {"IF", "ELSEIF", "ELSE", "END"}
NUMBER = re.compile(r"\s*[0-9]+\s*(?::.*)?", re.DOTALL)
LONGEST_SUBJECT = 1000  # a longer one does not fit its column, and stays as it was
NAMES = "|".join(sorted(CONDITIONAL | OF_THE_PRESENT | BRANCHES | {"PRODUCTS"}))
READ = sa.text("""
    SELECT tenant_id, channel_id, id, subject, html, text FROM templates
    WHERE concat_ws(' ', subject, html, text) ~* :pattern
""").bindparams(pattern=rf"\[%\s*({NAMES})\s*[:%]")
WRITE = sa.text("""
    UPDATE templates SET subject = :subject, html = :html, text = :text
    WHERE tenant_id = :tenant_id AND channel_id = :channel_id AND id = :id
""")


def rewritten(content: str) -> str:
    """A text whose placeholders mean as tags what they meant before."""
    return PLACEHOLDER.sub(_tag, content)


def _tag(match: re.Match[str]) -> str:
    name, default = match[1].upper(), match[2]
    if name in BRANCHES:
        return default or ""
    if default is None:
        return match[0]
    if name in CONDITIONAL or (name == "PRODUCTS" and NUMBER.fullmatch(default)):
        return f"[%IF:{name}%][%{name}%][%END:IF%][%ELSE%]{default}[%END:IF%]"
    return f"[%{name}%]" if name in OF_THE_PRESENT else match[0]


def upgrade() -> None:
    connection = op.get_bind()
    for row in connection.execute(READ).mappings().all():
        parts = {part: rewritten(row[part]) for part in ("subject", "html", "text")}
        if len(parts["subject"]) > LONGEST_SUBJECT:
            parts["subject"] = row["subject"]
        if any(parts[part] != row[part] for part in parts):
            connection.execute(WRITE, {**row, **parts})


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
