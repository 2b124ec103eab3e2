"""Placements: where recommendations are shown, and what is recommended there to a customer."""
