"""Energies, forces and stress of α-quartz, 72 atoms; see accuracy.py.

python benchmarks/accuracy_sio2.py --minutes 20 --features 64 [--resume]
"""

from accuracy import main

if __name__ == "__main__":
    main(["sio2"])
