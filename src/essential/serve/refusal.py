"""What a request that is not answered gets."""

from essential.errors import EssentialError


class Refusal(EssentialError):
    """A request cannot be answered.

    Args:
        status: of the HTTP answer.
        code: names the reason to programs; it never changes.
        message: what was wrong, what is allowed, what to do, for people.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
