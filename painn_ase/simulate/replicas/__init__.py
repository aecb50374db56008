"""Many copies of one system that move together, in one evaluation per step; with one bead each, classical."""
