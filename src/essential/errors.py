"""Errors a user can act on.

Each has fields: what is wrong, where, what to do. To change one, raise a new error from its fields. The command line
prints it and exits with 2.
"""


class EssentialError(Exception):
    """Base of every error that the library raises on purpose.

    Args:
        problem: what is wrong: the value, and what is allowed.
        where: the file, setting or video that it is about; None: `problem` names it.
        remedy: what to do; None: `problem` says it.
    """

    def __init__(self, problem: str, *, where: object = None, remedy: str | None = None) -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy
        self.where = None if where is None else str(where)

    def __str__(self) -> str:
        problem = self.problem if self.where is None else f"{self.where}: {self.problem}"
        return problem if self.remedy is None else f"{problem}; {self.remedy}"


class ConfigError(EssentialError):
    """A config names an unknown key or holds a value that is not allowed."""


class DataError(EssentialError):
    """A data folder, manifest or class list cannot be used as it is."""


class VideoError(EssentialError):
    """A video file cannot be read; the message names the file and the reason."""


class CameraError(EssentialError):
    """A camera cannot be opened, or gives no more frames."""


class StoreError(EssentialError):
    """A feature store is damaged, incomplete, or was made by something else."""


class CheckpointError(EssentialError):
    """A checkpoint is damaged, missing, or belongs to another run."""


class NoNetworkError(CheckpointError):
    """Weights are to be downloaded, and there is no network."""


class RunError(EssentialError):
    """A run folder is in use, or does not fit the command."""


class InUseError(RunError):
    """Another process is writing the folder."""


class TrainingError(EssentialError):
    """Training cannot continue, for example because a loss is not finite."""


class FileSystemError(EssentialError):
    """The disk is full, read-only, or refuses access."""


class BundleError(EssentialError):
    """A bundle is missing, damaged, of a newer version, or does not fit what is asked of it."""


class ExportError(EssentialError):
    """A classifier cannot be exported, or the export does not give the classifier's own numbers."""


class ComparisonError(EssentialError):
    """Runs that cannot stand in one table: something other than the method and the seed differs."""


class ProcessGroupError(EssentialError):
    """Another process of the run ended, or cannot be reached."""
