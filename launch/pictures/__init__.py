"""Pictures: plots, maps, and drawing on frames."""
