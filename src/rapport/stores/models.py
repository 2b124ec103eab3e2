"""Every records table in one metadata, for migrations and backups: importing each package's models fills it."""

from importlib import import_module
from pathlib import Path

from rapport.stores.records import Base

for models in sorted(Path(__file__).parents[1].glob("*/models.py")):
    if models.parent != Path(__file__).parent:
        import_module(f"rapport.{models.parent.name}.models")

metadata = Base.metadata
