"""Acetylacetone from 450 frames at 300 K, and from 450 at 600 K, both tested at 300 K; see accuracy.py.

python benchmarks/accuracy_acac.py --minutes 20 --features 64 [--resume]
"""

from accuracy import main

if __name__ == "__main__":
    main(["acac_300K", "acac_600K"])
