"""Building blocks shared by representations and heads."""
