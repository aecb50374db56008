"""The compiled library: its C interface, and where it is found. Its sources are in `csrc`."""
