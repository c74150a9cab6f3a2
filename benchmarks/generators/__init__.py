"""Generator families (one file each) behind one interface, and the zoo that loads them by name."""
