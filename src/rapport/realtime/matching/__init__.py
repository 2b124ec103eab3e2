"""Events against triggers: who met which, and what becomes of it."""
