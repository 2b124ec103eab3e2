"""Events come in: who sends them, whom they are of, how they are kept."""
