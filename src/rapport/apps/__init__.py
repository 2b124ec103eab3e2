"""The apps and web sites of a tenant, where they are installed, and how each installation can be reached."""
