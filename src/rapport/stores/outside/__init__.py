"""Outside addresses: which the server may post to, how it posts, and how logs mask them."""
