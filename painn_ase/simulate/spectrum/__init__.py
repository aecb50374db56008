"""From a structure, or a recorded run, to spectra and the report on them."""
