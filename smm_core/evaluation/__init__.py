"""What learnt policies reach, measured on fresh episodes: `smm evaluate`."""
