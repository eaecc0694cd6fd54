"""Benchmarks of `forestpilot bench`, one module each."""
