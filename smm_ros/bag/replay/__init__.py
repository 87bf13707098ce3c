"""Recordings put back into the graph: played over topics, or driven on the hand."""
