"""In-app messages: what is stored for the users of apps until their apps have shown it, and what they did with it."""
