"""Text messages: phone numbers, how texts become segments, and the ways by which they leave."""
