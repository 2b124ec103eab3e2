"""Journeys: what happens to a customer over days, step by step, as one campaign of several messages."""
