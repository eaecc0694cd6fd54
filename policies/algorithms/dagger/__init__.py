"""DAgger: the loop, its config, roll-ins, rounds and given demonstrations."""
