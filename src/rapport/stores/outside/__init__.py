"""Outside addresses: how posts to them are signed, and how logs mask them."""
