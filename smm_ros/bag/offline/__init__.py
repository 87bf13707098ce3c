"""What is learnt from bags alone: densities, discriminators and policies."""
