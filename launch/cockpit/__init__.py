"""What a person at the keys sees: views, gauges, map."""
