"""Fails if the last run of the tests executed less than PERCENT of the lines of a file, and names the file.

python .ci/least_coverage.py 75
"""

import sys

from coverage import Coverage


def main(percent: float) -> int:
    measured = Coverage()
    measured.load()
    low = []
    for file in sorted(measured.get_data().measured_files()):
        _, lines, _, missing, _ = measured.analysis2(file)
        share = 100 * (1 - len(missing) / len(lines)) if lines else 100.0
        if share < percent:
            low.append(f"{file}: {share:.0f} % of {len(lines)} lines, expected at least {percent:g} %")
    print("\n".join(low) or f"every file has at least {percent:g} % of its lines executed")
    return bool(low)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
