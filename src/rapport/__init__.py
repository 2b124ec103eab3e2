"""Rapport: open, self-hosted relationship marketing that speaks the Optimove API."""
