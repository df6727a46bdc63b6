"""Dark Machines CSV, in five modules and two that most files do not need.

``line`` is the slow truth about one line, ``chunk`` with its compiled ``loop`` the fast path for
many, ``skipped`` what becomes of the lines that this leaves, ``reader`` the reader. ``scan`` finds
the events of files with other lines too, ``write`` makes such files.

The rule: a line means what `line` says. Whatever `chunk` gives must be that to the last bit, and
what it does not take goes to `line`, which says what is wrong with it. The way of one path::

    path
     |   DarkMachinesCSV.read        reader.py   which layout the file has
     v
    scan, pieces                     lines.py    where its chunks begin and end, and their bytes
     |
     v   bytes of a chunk
    parse                            chunk.py    all lines in one compiled loop
     |             |
     |             v   lines that it does not take
     |      one_by_one               skipped.py  as events, or refused, or skipped and reported
     |             |
     |      parse_line               line.py     one line, or why it is none
     |             |
     v             v   Columns, in the order of the lines
    make_events                      events/record.py    MeV become GeV, an event a line

A faster `chunk` is one that keeps `chunk.parse`: bytes of lines and their layout to `Columns` and
the places of the lines that it does not take.
"""

from __future__ import annotations
