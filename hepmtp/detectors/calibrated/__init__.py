"""The calibrated score: how rare a detector's score is in background of the same kind of event.

`quantile` fits the background quantile of a score given what an event is made of, `detector` makes
a detector of it.
"""
