"""How well a policy does in worlds it has never seen, and how sure one can be of that."""
