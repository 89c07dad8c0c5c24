"""Records and analyses to one HTML page that opens anywhere, without a network, and its figures to files."""

from essential.report.page import write_figures, write_report
from essential.report.run_view import ReportedRun

__all__ = ["ReportedRun", "write_figures", "write_report"]
