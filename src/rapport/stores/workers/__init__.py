"""Background workers of a process: one life cycle, one way to listen, and one lock of those who lead a deployment."""
