"""Target distributions p*(s) and what they are made of."""
