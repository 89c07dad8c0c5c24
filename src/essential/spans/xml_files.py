"""XML from strangers, read within bounds by Python's own parser; and whole numbers in it."""

from xml.etree import ElementTree

from essential.errors import DataError
from essential.protocols.text_files import Line


def xml_root(text: str, name: str) -> ElementTree.Element:
    """Return the root of an XML text; DataError if it is none, or declares types or entities, which exports do not."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError("it declares a document type or entities", where=name, remedy="give the file as exported")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"not valid XML ({error})", where=name, remedy="export it again") from None


def whole(line: Line, what: str, text: str | None) -> int:
    """Return a whole number from 0 on; DataError for anything else."""
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 16):
        raise line.error(f"{what} is {text!r}", "give a whole number from 0 on")
    return int(text)
