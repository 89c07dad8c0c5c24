"""Names of classes, as clients give them."""

from collections.abc import Collection

from essential.errors import DataError
from essential.protocols import class_names
from essential.serve.refusal import Refusal

_LONGEST = 100


def class_name(given: str) -> str:
    """Return the name of a class as it is kept.

    Raises:
        Refusal: it is too long, or no name for a class.
    """
    if len(given.strip()) > _LONGEST:
        raise Refusal(
            422, "bad_class_name", f"the class has a name of {len(given)} characters; give one of 1 to {_LONGEST}"
        )
    try:
        return class_names.class_name(given, "the class")
    except DataError as error:
        raise Refusal(422, "bad_class_name", str(error)) from error


def refuse_known(name: str, known: Collection[str]) -> None:
    """Refuse to teach a class again by mistake.

    Raises:
        Refusal: says how to do so on purpose.
    """
    if name in known:
        raise Refusal(
            409,
            "class_known",
            f"the class {name!r} is known already; send more_of_known=true to teach it further clips, or forget it "
            "first",
        )
