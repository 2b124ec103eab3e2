"""Backups: written, signed, encrypted, verified and restored; and what outlives the data folder."""
