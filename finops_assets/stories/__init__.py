"""Invented organizations: the sample bill, the demo, simulated mornings and scenarios."""
