"""Forest roads: their lines, junctions, obstacles and the trees beside them."""
