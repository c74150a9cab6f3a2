"""What the project's work costs beside the least it could cost: ratios measured side by side in one run."""
