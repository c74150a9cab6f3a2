"""Image data: rendered faces with known attributes."""
