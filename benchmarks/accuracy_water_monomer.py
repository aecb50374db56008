"""Dipole and polarizability of the water monomer at CCSD; see accuracy.py.

python benchmarks/accuracy_water_monomer.py --minutes 20 --features 64 [--resume]
"""

from accuracy import main

if __name__ == "__main__":
    main(["water_monomer"])
