"""What a run sends or hands over, and how it ends."""
