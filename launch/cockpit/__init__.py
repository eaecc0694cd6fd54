"""What a human at the keys sees: views, gauges, map."""
