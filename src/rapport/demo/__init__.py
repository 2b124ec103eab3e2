"""The demo: a simulated retailer whose customers are really modelled and really campaigned to."""
