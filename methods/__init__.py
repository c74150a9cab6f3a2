"""Direction methods, one file each; a file with a ``DirectionMethod`` subclass in this folder is a method."""
