"""Checkpoints of other PaiNN codes to models of this package, without running anything that is in them.

One module per dialect, each with `load(path, ...) -> Model`. A dialect translates names and split orders into a
`Translation` (our architecture and tensors in foreign units); `translation.build` converts the units and makes the
model; `unpickle` and `archive` read the files.
"""
