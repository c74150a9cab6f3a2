"""What a suite, a profile and the command line say, read strictly: errors have a file, a line and a key."""
