"""Say what a clip shows, with an exported model alone: python use_onnx.py MODEL.onnx CLIP. Needs onnxruntime and av."""

import json
import sys

import av
import numpy as np
import onnxruntime


def scaled(pixels, length, interpolation):
    """Scale the first axis to a length; each row of `weights` says how much a new pixel has of each old one."""
    step = len(pixels) / length
    apart = np.abs((np.arange(length)[:, None] + 0.5) * step - 0.5 - np.arange(len(pixels))) / max(step, 1)
    near, far = (1.5 * apart - 2.5) * apart**2 + 1, ((2.5 - 0.5 * apart) * apart - 4) * apart + 2
    cubic = np.where(apart < 1, near, np.where(apart < 2, far, 0))
    weights = cubic if interpolation == "bicubic" else np.maximum(1 - apart, 0)
    new = np.tensordot(weights / weights.sum(axis=1, keepdims=True), pixels, axes=1)
    return new.round().clip(0, 255)


session = onnxruntime.InferenceSession(sys.argv[1])
note = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
frames, size, how = (note["preparation"][name] for name in ("frames", "size", "interpolation"))
with av.open(sys.argv[2]) as video:
    shown = list(video.decode(video=0))
clip = []
for picture in (shown[(2 * place + 1) * len(shown) // (2 * frames)] for place in range(frames)):
    rgb = np.rot90(picture.to_ndarray(format="rgb24"), picture.rotation // 90)
    height, width = (size * side // min(rgb.shape[:2]) for side in rgb.shape[:2])
    rgb = scaled(scaled(rgb.swapaxes(0, 1), width, how).swapaxes(0, 1), height, how)
    top, left = round((height - size) / 2), round((width - size) / 2)
    clip.append(rgb[top : top + size, left : left + size])
probabilities, *unknown = session.run(None, {"frames": np.uint8([clip])})
best = probabilities[0].argmax()
none = "none of these: " if unknown and unknown[0][0] > 1 else ""
print(f"{none}{note['labels'][best]} {probabilities[0, best]:.2f}")
