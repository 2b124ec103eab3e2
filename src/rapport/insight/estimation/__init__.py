"""How the models of the value and of microsegments are fitted, judged and kept."""
