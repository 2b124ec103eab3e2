"""The tag language of templates: reading it, filling it in, and saying what is wrong with it."""
