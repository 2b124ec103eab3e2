"""The API: the wire, a module for each section of the reference, and the management API."""
