"""Management of customers: their data, events, model and target groups."""
