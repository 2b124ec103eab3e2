"""What a message carries so that it is known what becomes of it: signed tokens, tracked links, the pixel."""
