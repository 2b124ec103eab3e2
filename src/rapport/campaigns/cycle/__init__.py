"""The daily cycle of a tenant, and the scheduler that starts what is due."""
