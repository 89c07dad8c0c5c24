"""Records to one HTML page that opens anywhere, without a network."""

from essential.report.page import write_report

__all__ = ["write_report"]
