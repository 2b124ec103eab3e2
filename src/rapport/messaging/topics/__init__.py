"""Topics of messages, which customers subscribe to by channel: brand groups, subscriptions, the page of preferences."""
