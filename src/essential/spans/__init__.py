"""Labelled spans of long videos: files of labelling tools read and written, and answers compared; without torch."""

from essential.spans.labelled_span import LabelledSpan
from essential.spans.reading import read_spans
from essential.spans.scoring import SpanScores, score_spans
from essential.spans.writing import write_spans

__all__ = ["LabelledSpan", "SpanScores", "read_spans", "score_spans", "write_spans"]
