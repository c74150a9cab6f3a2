"""The audit: xGA on two generators of any family, and one page that says what it found and how far to believe it."""
