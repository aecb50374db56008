"""What every recorded run is: its files, its restart, its guards, and how it is read."""
