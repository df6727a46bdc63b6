"""Raw events of the embedded sample in each region: the table of docs/regions.md.

python benchmarks/regions.py
"""

from __future__ import annotations

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.events.regions import REGIONS


def main() -> None:
    """Print the table."""
    samples = {one.name: read([one]) for one in embedded()}
    print("| region |", " | ".join(samples), "|")
    print("|" + "---|" * (1 + len(samples)))
    print("| all |", " | ".join(str(len(events)) for events in samples.values()), "|")
    for region in REGIONS:
        counts = [str(int(region.select(events).sum())) for events in samples.values()]
        print("|", " | ".join((region.name, *counts)), "|")


if __name__ == "__main__":
    main()
