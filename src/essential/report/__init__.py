"""Records and analyses to one HTML page that opens anywhere, without a network, and its figures to files."""

from essential.report.lines import ReportedRun
from essential.report.page import write_figures, write_report

__all__ = ["ReportedRun", "write_figures", "write_report"]
