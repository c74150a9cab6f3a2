"""Generator families, one file each; anybody's own networks; and planted generators, whose factors are known."""
