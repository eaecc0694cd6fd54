"""Ways to imitate: behavioural cloning, DAgger and its gates."""
