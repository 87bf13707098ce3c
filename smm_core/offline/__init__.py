"""What is learnt from recordings alone: no robot and no environment takes part."""
