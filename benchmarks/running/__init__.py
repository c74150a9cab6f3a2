"""Runs a plan: in this process, in several, on many machines; and the folder that a run leaves."""
