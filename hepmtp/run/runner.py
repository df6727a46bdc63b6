"""Run: coffea's Runner for every file that hepmtp reads, and executors that close what they open.

The rule: a processor sees the same events whatever the file. Our own ROOT goes to coffea as it is.
A chunk of any other file is read by its reader into a TTree in memory, on the worker, under a name
that says which entries it holds.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from coffea.processor import Runner

from hepmtp.datasets.filesets import Wanted, read_fileset
from hepmtp.errors import ReadError
from hepmtp.plugins import allow_plugins, allowed
from hepmtp.readers.coffea_names import WorkItem
from hepmtp.readers.failures import tried
from hepmtp.readers.root import HepmtpSchema
from hepmtp.run.arguments import check_arguments, check_call, made_chunks
from hepmtp.run.checkpoints import told_of_skips
from hepmtp.run.chunks import ChunkSource, path_of, skipped_in
from hepmtp.run.failing import is_left_out, tried_on_worker
from hepmtp.run.plan import Plan, plan_of
from hepmtp.run.stamps import STAMP
from hepmtp.statistics.accounting import Account, Loss
from hepmtp.statistics.normalisation import known


class _Forgetful(dict[Any, Any]):
    """No cache: coffea's knows files by name alone, a rewritten file would keep length and role."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Keep nothing."""


def _weight_of(tally: Any) -> float | None:
    """The weight in what a processor calls its normalisation; None if it does not say."""
    found = tally.get("weight") if isinstance(tally, Mapping) else getattr(tally, "weight", None)
    return None if found is None else float(found)


def _on_worker(
    plugins: tuple[str, ...],
    retries: int,  # noqa: ARG001 (of any error: only what may pass is tried again)
    skipbadfiles: Any,
    func: Callable[..., Any],
    *args: Any,
    use_result_type: bool = False,
    **kwargs: Any,
) -> Any:
    """As coffea's retries: see :mod:`hepmtp.run.failing` for what is tried again, and left out."""
    allow_plugins(*plugins)
    skip = False if use_result_type else skipbadfiles
    result = tried_on_worker(skip, func, *args, **kwargs)
    items = result.get("processed", ()) if isinstance(result, dict) else ()
    if skipped := skipped_in(items):
        result["skipped"] = skipped
    return result


@dataclass
class HepRunner(Runner):  # type: ignore[misc]
    """Coffea's Runner that also takes every other format that has a reader, mixed with ROOT.

    ``HepRunner(executor)(fileset, processor)`` takes a fileset in any form that coffea takes or
    gives (:mod:`hepmtp.datasets.filesets`). The metadata "reader" of a data set names its reader
    (``"package.module:Class"``); by default what is in the files tells. Options of the reader are
    the metadata "reader_options", a mapping of what JSON can hold. A tree that is named for a file
    is the one that is read.

    All other options are coffea's, with these differences. Files are looked at anew in each run
    unless a metadata_cache is given. `skipbadfiles` leaves out what cannot be read, whatever the
    format: a file that cannot be opened, or a chunk of it, but never an error of the processor.
    What may pass by itself is tried again after a pause. An error of ours on a worker arrives as
    the same error. The format is always found from the file, so "format" stays "root".

    Attributes
    ----------
    accounting
        after a run: data set -> :class:`hepmtp.statistics.accounting.Account`.
    """

    schema: Any = HepmtpSchema
    chunksize: int = 20_000
    metadata_cache: Any = None
    checkpointer: Any = None
    accounting: dict[str, Account] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        check_arguments(self)
        if self.metadata_cache is None:
            self.metadata_cache = _Forgetful()
        self.checkpointer = told_of_skips(self.checkpointer)
        super().__post_init__()

    def preprocess(
        self,
        fileset: Any,
        *,
        treename: str | None = None,
        uproot_options: dict[str, Any] | None = None,
        trace: Callable[..., Any] | None = None,
        processor_instance: Any = None,
    ) -> list[WorkItem]:
        """The chunks of all files, data set by data set; counts the events of every file.

        Parameters
        ----------
        fileset
            in any form of :mod:`hepmtp.datasets.filesets`.
        treename
            tree of files that have trees and for which none is named.
        uproot_options
            options of ``uproot.open``.
        trace, processor_instance
            function that finds the columns which the processor uses, so that coffea reads them
            together; files that coffea does not open need none.

        Raises
        ------
        ManifestError
            if the fileset is wrong, naming data set and key.
        ReadError
            if a file is missing, empty or of no known kind, unless `skipbadfiles` is set.
        """
        check_call(treename, trace)
        self.accounting = {}
        traced = {} if trace is None else {"trace": trace, "processor_instance": processor_instance}
        items: list[WorkItem] = []
        options = {"handler": ChunkSource, **(uproot_options or {})}
        for dataset, entry in read_fileset(fileset, missing_ok=bool(self.skipbadfiles)).items():
            account = self.accounting[dataset] = Account(files=len(entry.files))
            plans = [
                plan
                for wanted in entry.files
                if (plan := self._planned(wanted, entry.metadata, treename, account)) is not None
            ]
            roots = {plan.path: plan.tree for plan in plans if plan.chunks is None}
            found: dict[str, list[WorkItem]] = {}
            if roots:
                given: dict[str, Any] = {"files": roots, "metadata": entry.metadata}
                given |= {} if entry.preload is None else {"preload": sorted(entry.preload)}
                # the first chunks may hold none of the steps, and a share is one of all entries
                whole = any(
                    plan.steps is not None or (plan.entries is None and plan.generated is not None)
                    for plan in plans
                )
                this: Any = self
                coffea: Any = super(HepRunner, replace(this, maxchunks=None) if whole else this)
                named = quote(dataset, safe=" ")  # coffea takes ASCII names only
                for item in coffea.preprocess({named: given}, uproot_options=options, **traced):
                    found.setdefault(item.filename, []).append(replace(item, dataset=dataset))
            entries = sum(
                sum(map(len, found.get(plan.path, ()))) if plan.entries is None else plan.entries
                for plan in plans
            )
            # nobody knows how many events a lost file has: as many as the others on average
            entries = round(entries * len(entry.files) / max(len(plans), 1))
            mine = []
            for plan in plans:
                chunks = found.get(plan.path, []) if plan.chunks is None else plan.items(dataset)
                stamp = {STAMP: plan.stamp}
                mine += [
                    replace(item, usermeta=entry.metadata | plan.share(item, entries) | stamp)
                    for item in plan.within_steps(chunks)
                ]
            if self.maxchunks is not None:
                mine = mine[: self.maxchunks]
            account.chunks, account.events = len(mine), sum(map(len, mine))
            items += mine
        if not items:
            raise ReadError(self._nothing())
        return items

    def run(
        self,
        fileset: Any,
        processor_instance: Any,
        *,
        treename: str | None = None,
        uproot_options: dict[str, Any] | None = None,
        iteritems_options: dict[str, Any] | None = None,
        trace: Callable[..., Any] | None = None,
    ) -> Any:
        """As coffea's `run`, with the source that opens our chunks.

        Nothing is cached: each chunk is read once. `fileset` may be what `preprocess` gave.
        """
        caches = {"array_cache": None, "object_cache": None}
        options = {"handler": ChunkSource, **caches, **(uproot_options or {})}
        check_call(treename, trace)
        if isinstance(fileset, str | os.PathLike | Mapping):
            items = self.preprocess(
                fileset,
                treename=treename,
                uproot_options=uproot_options,
                trace=trace,
                processor_instance=processor_instance,
            )
        else:
            items = made_chunks(fileset, treename, trace)
        try:
            result = super().run(
                items,
                processor_instance,
                uproot_options=options,
                iteritems_options=iteritems_options,
            )
        except KeyError as error:
            if error.args != ("out",):  # what coffea asks for when no chunk gave a result
                raise
            raise ReadError(
                "nothing of this run could be read; run without skipbadfiles (--skip-bad) to see "
                "why"
            ) from None
        if not self.use_dataframes:
            wrapped = result.unwrap() if hasattr(result, "is_ok") and result.is_ok() else result
            if isinstance(wrapped, dict):
                self._account(items, wrapped)
                accounts = self.accounting.values()
                no_event = any(one.losses for one in accounts) and not any(
                    one.events_read for one in accounts
                )
                if "out" not in wrapped or no_event:
                    raise ReadError(self._nothing())
        return result

    @property
    def automatic_retries(self) -> Callable[..., Any]:
        """What coffea does its work with, on workers: `_on_worker`, told what files may name."""
        return functools.partial(_on_worker, allowed())

    def _planned(
        self,
        wanted: Wanted,
        metadata: Mapping[str, Any],
        treename: str | None,
        account: Account,
    ) -> Plan | None:
        """How a file is read; None if it cannot be and is left out."""
        try:
            plan: Plan = tried(plan_of, wanted, metadata, treename, self)
        except Exception as error:
            if not is_left_out(error, self.skipbadfiles):
                raise
            given, reason = known(metadata), str(error)
            if given.sum_weights or given.n_generated:
                reason += (
                    "; it is taken to have had an average file's share of the generated events"
                )
            account.losses.append(Loss("lost", wanted.path, 0, None, None, reason))
            return None
        return plan

    def _account(self, items: Sequence[WorkItem], wrapped: Mapping[str, Any]) -> None:
        """Fill in what was read, skipped and lost."""
        lost, skipped = (wrapped.get(name, {}) for name in ("lost", "skipped"))
        of: dict[str, list[WorkItem]] = {}
        for item in items:
            of.setdefault(item.dataset, []).append(item)
        output = wrapped.get("out")
        tallies = output.get("normalisation") if isinstance(output, dict) else None
        for dataset, mine in of.items():
            account = self.accounting.setdefault(dataset, Account())
            # what an earlier run of these chunks has lost is not lost again
            account.losses = [
                one for one in account.losses if one.kind == "lost" and not one.chunks
            ]
            if not account.chunks:  # the chunks were made by somebody else
                account.files = len({path_of(item.filename) for item in mine})
                account.chunks, account.events = len(mine), sum(map(len, mine))
            read = [item for item in mine if item not in lost]
            account.chunks_read = len(read)
            account.files_read = len({path_of(item.filename) for item in read})
            account.events_read = sum(map(len, read))
            for item in mine:
                path = path_of(item.filename)
                if item in lost:
                    account.losses.append(Loss("lost", path, 1, len(item), None, lost[item]))
                elif item in skipped:
                    events, weight, reason = skipped[item]
                    account.losses.append(Loss("skipped", path, 0, events, weight, reason))
                    account.events_read -= events
            if tallies and dataset in tallies:
                account.weight_read = _weight_of(tallies[dataset])

    def _nothing(self) -> str:
        lost = [loss for account in self.accounting.values() for loss in account.losses]
        if lost:
            return f"nothing of this run could be read; first: {lost[0].reason}"
        return "the files of this run have no events: there is nothing to analyse"
