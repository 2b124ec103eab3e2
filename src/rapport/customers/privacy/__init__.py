"""What identifies people: found, masked, exported, erased."""
