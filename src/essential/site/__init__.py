"""Records to a static leaderboard: a folder of pages that works from a disk and from any web server."""

from essential.site.finding import Findings, find_records
from essential.site.pages import write_site

__all__ = ["Findings", "find_records", "write_site"]
