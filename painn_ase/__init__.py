"""PaiNN networks as ASE calculators: energies, forces, stress, dipoles, polarizabilities, dynamics, spectra."""
