"""What events and firings leave in the warehouse."""
