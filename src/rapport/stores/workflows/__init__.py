"""Durable work: workflows, their steps and queues, and how what they keep is written."""
