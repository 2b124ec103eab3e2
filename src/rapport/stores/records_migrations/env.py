"""Alembic's entry: runs the revisions on the engine that stores.migrations hands over."""

from alembic import context

from rapport.stores.models import metadata
from rapport.stores.records.connecting import unhurried

engine = context.config.attributes["engine"]
with engine.connect() as connection:
    unhurried(connection)
    connection.commit()
    context.configure(connection=connection, target_metadata=metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
