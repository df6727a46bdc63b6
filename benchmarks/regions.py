"""Raw events of the embedded sample in each region: the table of docs/regions.md.

python benchmarks/regions.py
"""

from __future__ import annotations

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.events.regions import REGIONS


def main() -> None:
    """Print the table."""
    print("| data set | role | all |", " | ".join(region.name for region in REGIONS), "|")
    print("|" + "---|" * (3 + len(REGIONS)))
    for dataset in embedded():
        events = read([dataset])
        counts = [int(region.select(events).sum()) for region in REGIONS]
        row = [dataset.name, dataset.role, len(events), *counts]
        print("|", " | ".join(map(str, row)), "|")


if __name__ == "__main__":
    main()
