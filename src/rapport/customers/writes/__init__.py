"""Writes of attributes that the API accepted, in their order."""
