"""Errors a user can act on.

Each message says what was wrong, the value, what is allowed and what to do. The command line prints
the message and exits with 2; nothing else is caught.
"""


class EssentialError(Exception):
    """Base of every error that the library raises on purpose."""


class ConfigError(EssentialError):
    """A config names an unknown key or holds a value that is not allowed."""


class DataError(EssentialError):
    """A data folder, manifest or class list cannot be used as it is."""


class VideoError(EssentialError):
    """A video file cannot be read; the message names the file and the reason."""


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
    """Training cannot go on, for example because a loss is not finite."""


class FileSystemError(EssentialError):
    """The disk is full, read-only, or refuses access."""


class BundleError(EssentialError):
    """A bundle is missing, damaged, of a newer version, or does not fit what is asked of it."""


class ExportError(EssentialError):
    """A classifier cannot be exported, or the export does not give the classifier's own numbers."""


class ComparisonError(EssentialError):
    """Runs that cannot stand in one table: something other than the method and the seed differs."""


class TeamError(EssentialError):
    """Another process of the run ended, or cannot be reached."""
