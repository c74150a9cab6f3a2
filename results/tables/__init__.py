"""Tables of a run's rows: one file a kind, found by being there; what they share has a name with an underscore."""
