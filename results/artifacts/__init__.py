"""The artifact store: what was made is kept under the hash of all that made it."""
