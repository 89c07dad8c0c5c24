"""What there is to choose from, by name: the library's own, and that of plug-ins."""

from essential.api.tables import Catalogue
from essential.configs.shipped import shipped_configs
from essential.encoders.config import PRESETS, TINY
from essential.methods import METHODS, method_summaries
from essential.metrics import METRICS


def list_methods() -> Catalogue:
    """Return the methods that `build_method` and `compare` take."""
    return Catalogue(method_summaries(), METHODS.broken())


def list_encoders() -> Catalogue:
    """Return the frozen encoders that have a name of their own; any image model of timm can be named beside them."""
    return Catalogue(
        {TINY: "the embedded one, for tests", **{name: f"{timm} of timm" for name, timm in PRESETS.items()}}
    )


def list_metrics() -> Catalogue:
    """Return the metrics of a run."""
    return Catalogue({name: metric.definition for name, metric in METRICS.items()}, METRICS.broken())


def list_protocols() -> Catalogue:
    """Return the shipped configs: what is learned, in which tasks."""
    return Catalogue(shipped_configs())
