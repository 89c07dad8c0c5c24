"""The same work on many files, in processes of their own, so that a file that kills its reader kills only that."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

from essential.errors import DataError

Result = TypeVar("Result")

_AHEAD = 4


def map_files(
    work: Callable[[Path], Result],
    files: Sequence[str],
    *,
    workers: int,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Result]:
    """Return what `work` gives for each file.

    Args:
        work: a function of a module, as it is sent to other processes.
        files: each once.
        workers: how many processes.
        progress: called with the number of files done.

    Raises:
        DataError: a process died; the message names the files that were being worked on.
    """
    results: dict[str, Result] = {}
    # Not forked: the parent may hold threads. At most a few files for each process are on their way at any time, so
    # that few are suspected.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(max(1, min(workers, len(files))), mp_context=context)
    try:
        for file, result in _completed(executor, work, files, ahead=_AHEAD * workers):
            results[file] = result
            if progress is not None:
                progress(len(results))
    finally:
        executor.shutdown(cancel_futures=True)
    return results


def _completed(
    executor: ProcessPoolExecutor, work: Callable[[Path], Result], files: Sequence[str], *, ahead: int
) -> Iterator[tuple[str, Result]]:
    waiting = iter(files)
    running: dict[Future[Result], str] = {}
    try:
        while True:
            for file in _next(waiting, ahead - len(running)):
                running[executor.submit(work, Path(file))] = file
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                result = future.result()
                yield running.pop(future), result
    except BrokenProcessPool as error:
        suspects = ", ".join(sorted(running.values())) or "those not yet begun"
        raise DataError(
            f"a process that reads videos died ({error}) while reading one of: {suspects}. Take the file that does it "
            "out of the data, or look after the machine's memory, and run again"
        ) from error


def _next(waiting: Iterator[str], count: int) -> list[str]:
    return [file for _, file in zip(range(count), waiting, strict=False)]
