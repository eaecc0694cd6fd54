"""Pages of one HTML file: blocks, diagrams, media."""
