"""Forms that are refused: the path, the body, and the code of the answer, by what is wrong with them."""

from running_service import form

MEGABYTE = 1024**2

BAD_FORMS: dict[str, tuple[str, bytes, str]] = {
    "no part": ("/predict", form([]), "missing_part"),
    "other part": ("/predict", form([("file", "a.mp4", b"x")]), "unknown_part"),
    "two clips": ("/predict", form([("clip", "a", b"x"), ("clip", "b", b"x")]), "too_many_clips"),
    "cut short": ("/predict", form([("clip", "a.mp4", b"x" * 5000)], end=False), "bad_form"),
    "no form": ("/predict", b"x" * 5000, "bad_form"),
    "empty": ("/predict", b"", "bad_form"),
    "large": ("/predict", form([("clip", "a.mp4", b"x" * (MEGABYTE + 1))]), "too_large"),
    "very large": ("/predict", form([("clip", "a.mp4", b"x" * (4 * MEGABYTE))]), "too_large"),
    "no name": ("/teach", form([("clips", "a.mp4", b"x")]), "missing_part"),
    "no clips": ("/teach", form([("class", None, b"x")]), "missing_part"),
    "empty name": ("/teach", form([("class", None, b"  "), ("clips", "a", b"x")]), "bad_class_name"),
    "two lines": ("/teach", form([("class", None, b"a\nb"), ("clips", "a", b"x")]), "bad_class_name"),
    "long name": ("/teach", form([("class", None, b"a" * 101), ("clips", "a", b"x")]), "bad_class_name"),
    "turning": ("/teach", form([("class", None, "a\u202eb".encode()), ("clips", "a", b"x")]), "bad_class_name"),
    "no text": ("/teach", form([("class", None, b"\xff\xfe"), ("clips", "a", b"x")]), "bad_text"),
    "endless text": ("/teach", form([("class", None, b"a" * 5000), ("clips", "a", b"x")]), "too_large"),
    "odd choice": (
        "/teach",
        form([("class", None, b"a"), ("more_of_known", None, b"maybe"), ("clips", "a", b"x")]),
        "bad_value",
    ),
}
