"""Who may be contacted on a channel: the rules, suppressions and preferences, and how people unsubscribe."""
