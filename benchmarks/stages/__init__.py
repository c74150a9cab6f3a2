"""The stages, one file a kind of work: what its result depends on, how it is made, which cells it asks for."""
