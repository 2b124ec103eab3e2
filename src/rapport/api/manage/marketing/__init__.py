"""Management of campaigns: what they bring, to whom, and with what result."""
