"""Management of channels, templates and suppressions, and of the outside systems that are notified."""
