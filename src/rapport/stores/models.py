"""Every records table in one metadata, for migrations only: importing each package's models fills it."""

from importlib import import_module
from importlib.util import find_spec

from rapport.stores.records import Base

PACKAGES = (
    "access",
    "apps",
    "customers",
    "insight",
    "audiences",
    "delivery",
    "campaigns",
    "messaging",
    "channels",
    "inbox",
    "in_app",
    "notifications",
    "realtime",
    "transactional",
)
for package in PACKAGES:
    if find_spec(f"rapport.{package}.models"):
        import_module(f"rapport.{package}.models")

metadata = Base.metadata
