"""Teach a video classifier new action classes, group after group, without keeping the old videos."""

__version__ = "0.1.0"
