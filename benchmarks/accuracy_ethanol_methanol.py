"""Ethanol at PBE/def2-SVP from 1000 frames; see accuracy.py.

python benchmarks/accuracy_ethanol_methanol.py --minutes 20 --features 64 [--resume]
"""

from accuracy import main

if __name__ == "__main__":
    main(["ethanol_methanol"])
