"""What a report shows of a finished run beyond its record, made from the run's folder."""

from essential.analysis.run_analysis import analyse

__all__ = ["analyse"]
