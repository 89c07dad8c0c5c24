"""Published weights: those that are on this machine, and whether the others can be fetched.

The download tries for more than a minute before it says that there is no network, so that is checked before.
"""

import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError

from essential.encoders.config import LITE, EncoderConfig
from essential.errors import CheckpointError, NoNetworkError

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
TOKENIZER_FILES = ("tokenizer.json",)
_SECONDS = 1.5


def kept_weights(repository: str) -> Path | None:
    """Return the file of published weights that was downloaded before, if it was."""
    return kept_file(repository, WEIGHT_FILES)


def kept_file(repository: str, names: Sequence[str]) -> Path | None:
    """Return the first of some files that was downloaded before, if one was."""
    found = (try_to_load_from_cache(repository, name) for name in names)
    return next((Path(file) for file in found if isinstance(file, str)), None)


def fetched_file(repository: str, names: Sequence[str], what: str) -> Path:
    """Return the first of some files of a repository, downloaded if none was before; errors as of `fetched_weights`."""
    kept = kept_file(repository, names)
    if kept is not None:
        return kept
    remedy = f"fetch {' or '.join(names)} of {repository} elsewhere, and add -s encoder.text_weights=FILE -s "
    remedy += "encoder.tokenizer=FILE"
    if not network_answers():
        raise NoNetworkError(f"no network: the {what} could not be downloaded", remedy=remedy)
    try:
        return _downloaded(repository, names)
    except (OSError, EntryNotFoundError) as error:
        raise CheckpointError(f"the {what} cannot be downloaded ({type(error).__name__})", remedy=remedy) from error


def fetched_weights(config: EncoderConfig, repository: str) -> Path:
    """Return the file of an encoder's published weights, downloaded if it was not before.

    Raises:
        NoNetworkError: it was not, and nothing answers.
        CheckpointError: it cannot be downloaded.
    """
    kept = kept_weights(repository)
    if kept is not None:
        return kept
    refuse_without_network(config)
    try:
        return _downloaded(repository, WEIGHT_FILES)
    except (OSError, EntryNotFoundError) as error:
        raise not_downloaded(config, error) from error


def _downloaded(repository: str, names: Sequence[str]) -> Path:
    """Download the first of some files that the repository has; an EntryNotFoundError if it has none."""
    *others, last = names
    for name in others:
        with suppress(EntryNotFoundError):
            return Path(hf_hub_download(repository, name))
    return Path(hf_hub_download(repository, last))


def not_downloaded(config: EncoderConfig, error: Exception) -> CheckpointError:
    """Return the error for weights that the hub did not give, ready to be raised."""
    return CheckpointError(
        f"the published weights of the encoder {config.name!r} ({config.published_as}) cannot be downloaded "
        f"({type(error).__name__}); fetch them elsewhere and add -s encoder.weights=FILE"
    )


def any_weights_kept() -> bool:
    """Whether any model was downloaded before."""
    return any(Path(constants.HF_HUB_CACHE).glob("models--*"))


def refuse_without_network(config: EncoderConfig) -> None:
    """Raise a NoNetworkError where nothing answers, after two seconds at the most."""
    if network_answers():
        return
    raise NoNetworkError(
        f"no network: the published weights of the encoder {config.name!r} ({config.published_as}) could "
        f"not be downloaded. Use the encoder that is installed (-s encoder.name={LITE}), or fetch them elsewhere under "
        "that name and add -s encoder.weights=FILE"
    )


def network_answers() -> bool:
    """Whether the hub can be asked; known after two seconds at the most."""
    return not constants.HF_HUB_OFFLINE and _answers(constants.ENDPOINT)


def _answers(url: str) -> bool:
    """Whether a connection can be opened to a server, or to the proxy through which it is asked."""
    server, proxies = urlsplit(url), getproxies()
    proxy = proxies.get(server.scheme, proxies.get("all"))
    if proxy and not proxy_bypass(server.hostname or ""):
        server = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    address = server.hostname, server.port or (443 if server.scheme == "https" else 80)
    opened = []

    def connect() -> None:
        with suppress(OSError), socket.create_connection(address, _SECONDS):
            opened.append(address)

    # No time limit holds while a name is looked up, so the thread may be left behind.
    thread = Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_SECONDS)
    return bool(opened)
