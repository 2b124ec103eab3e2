"""The functions of the wire, a module for each section of the reference."""
