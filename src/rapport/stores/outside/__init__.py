"""Outside addresses: how posts to them are signed, and which buckets a tenant may name."""
