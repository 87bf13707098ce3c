"""Bags as the datasets that other learners read, and back."""
