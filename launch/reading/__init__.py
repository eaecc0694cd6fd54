"""Reading what runs have left behind: outcomes, rounds, results, configs."""
