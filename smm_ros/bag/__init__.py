"""Bags: what a run has seen, on disk; read, written, checked and put to use."""
