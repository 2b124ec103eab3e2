"""How requests are taken and answered: who calls, how much is read, how errors look."""
