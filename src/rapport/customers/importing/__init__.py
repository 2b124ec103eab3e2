"""Imports: from a file to the tables of customers."""
