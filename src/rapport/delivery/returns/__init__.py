"""What comes back about messages that have left: opens, clicks, bounces, complaints, and what mail providers report."""
