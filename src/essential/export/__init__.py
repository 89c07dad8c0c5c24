"""A taught classifier as one file that other programs run: ONNX, or a program of torch.export."""

from essential.export.bundle_export import Export, export_bundle

__all__ = ["Export", "export_bundle"]
