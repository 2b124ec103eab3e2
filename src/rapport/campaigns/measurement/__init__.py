"""What campaigns brought: reactions, results, statistics, exports."""
