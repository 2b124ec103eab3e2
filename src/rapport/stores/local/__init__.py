"""What is on this machine: the data folder, the embedded PostgreSQL, and the disk."""
