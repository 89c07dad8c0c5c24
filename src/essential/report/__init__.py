"""Records and analyses to one HTML page that opens anywhere, without a network, and its figures to files."""

from essential.report.lines import ReportedRun
from essential.report.page import write_figures, write_report
from essential.report.watch import WatchPage

__all__ = ["ReportedRun", "WatchPage", "write_figures", "write_report"]
