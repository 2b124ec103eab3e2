"""How files and the values in them are read, as SQL."""
