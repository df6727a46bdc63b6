"""Report: numbers become a folder for a reader.

`folder` writes a run's folder: numbers first, then `rows` of tables and `figures` as far as they
can be made. `info` is what the run says of itself, `known` what its data sets allow to claim,
`blind` where data are not looked at, and `problems` what makes a result empty. `page` makes one
HTML page of all this, and `hepdata` a submission to HEPData. The folder::

    run.json             what was run, on what, in which words (RunInfo)
    histograms.json      scores and variables (see hepmtp.statistics.histogram_files)
    variations.zip       the same with their systematic variations, if the run had any
    cutflow.json         data set -> region -> raw, sumw, sumw2; data have no blind regions
    cuts.json            the same cut by cut, and with all cuts but one
    n_minus_one.json     histograms of what is cut on, without the cuts on it
    replicas.zip         background by each replica of a calibrated score
    columns.safetensors  scores event by event (see hepmtp.report.columns)
    accounting.json      what was read, skipped and lost (see hepmtp.statistics.accounting)
    performance.csv .md  AUC and working points of every detector
    selection.csv .md    what passes the thresholds
    observed.csv .md     data above the thresholds
    agreement.csv .md    what several trainings of a score select in common
    figures/*.png        named in run.json with caption and alternative text
    detector/            the trained detector, if the run has trained one
    report.html          the page
"""

from __future__ import annotations
