"""What several tests share: structures, random models, calculators that are broken on purpose, and comparisons."""
