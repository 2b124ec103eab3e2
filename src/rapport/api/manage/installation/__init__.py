"""Management of tenants, keys and users, and what the command line asks of a server."""
