"""From rows to means with their spreads: intervals, chance, summaries."""
