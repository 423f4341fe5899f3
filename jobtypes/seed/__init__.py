"""Seed 1.0.0: what a manifest says and what follows from it. Plain Python, without database or network."""
