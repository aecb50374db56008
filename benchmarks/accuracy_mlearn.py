"""Solid silicon, germanium and molybdenum of the mlearn set: energies, forces, stress; see accuracy.py.

python benchmarks/accuracy_mlearn.py --minutes 20 --features 64 [--resume]
"""

from accuracy import main

if __name__ == "__main__":
    main(["mlearn_Si", "mlearn_Ge", "mlearn_Mo"])
