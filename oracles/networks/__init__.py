"""Networks that several folders use, and how their weights are read."""
