"""The policy as a network: views, encoders, memories, heads, and its checkpoint."""
