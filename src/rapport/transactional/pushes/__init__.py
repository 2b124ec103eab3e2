"""Push messages that applications send: accepted, scheduled, canceled, and handed to the outbox."""
