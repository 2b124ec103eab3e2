"""Triggered campaigns as they are built: their shapes, definitions, runs and sentences."""
