"""What the policy is paid for: State Marginal Matching and the methods beside it."""
