"""Report: numbers become a folder for a reader.

`folder` writes a run's folder, `figures` draws into it, `info` is what the run says of itself, and
`page` makes one HTML page of all this. The folder::

    run.json             what was run, on what, in which words (RunInfo)
    histograms.json      scores per detector (see hepmtp.statistics.histograms)
    cutflow.json         data set -> region -> raw, sumw, sumw2
    performance.csv .md  AUC and working points of every detector
    selection.csv .md    what passes the thresholds
    figures/*.png .pdf   named in run.json with caption and alternative text
    detector/            the trained detector, if the run has trained one
    report.html          the page
"""

from __future__ import annotations
