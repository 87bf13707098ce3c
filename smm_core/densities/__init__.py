"""Density models q(s) of the states visited, R runs at once, all in nats."""
