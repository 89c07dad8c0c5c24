"""Methods, encoders, data sets and metrics by name: this library's own and those of installed packages, found alike."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ref

from essential.errors import ConfigError
from essential.shown import described, nearest, printable

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

Thing = TypeVar("Thing")
_PACKAGE = "essential-video"
_UNNAMED = "a package without a name"


class Registry(Mapping[str, Thing]):
    """What the entry points of a group name, each imported when it is first asked for.

    A plug-in that cannot be used is left out, and `broken` says why: it raises on import, is of another kind or for
    other versions of essential, or its name is taken, be it by another plug-in: then both are left out.

    Args:
        built_in: the library's own, `module:attribute` by name; they come first, and plug-ins follow by name.
        fault: given the name and the object of a plug-in, says what is wrong with it; None: nothing is.
    """

    def __init__(
        self, group: str, built_in: Mapping[str, str], *, fault: Callable[[str, Any], str | None] = lambda *_: None
    ) -> None:
        self.group, self.built_in, self._fault = group, built_in, fault
        self._used: dict[str, Thing] = {}
        self._broken: dict[str, str] = {}
        self._importing: set[tuple[int, str]] = set()
        self._found: dict[str, EntryPoint] | None = None
        _registries.append(ref(self))

    def names(self) -> list[str]:
        """Return every name without importing anything: a plug-in may turn out to be broken."""
        return [*self.built_in, *self.plugins()]

    def plugins(self) -> list[str]:
        """Return the names of plug-ins alone, without importing any."""
        return [name for name in self._entries() if name not in self._broken]

    def load(self, name: str) -> Thing:
        """Return what the name stands for.

        Raises:
            ConfigError: nothing has the name, or the plug-in of that name is broken.
        """
        try:
            return self[name]
        except KeyError:
            kind, known = self.group.rpartition(".")[2].removesuffix("s"), self.names()
            if name in self._broken:
                raise ConfigError(f"the {kind} {name!r} cannot be used: {self._broken[name]}") from None
            raise ConfigError(
                f"no {kind} is called {name!r}{nearest(name, known)}; known: {', '.join(known)}"
            ) from None

    def broken(self) -> Mapping[str, str]:
        """Return why each plug-in is left out that cannot be used, by its name; imports all plug-ins."""
        for name in self.plugins():
            self._plugin(name)
        return dict(self._broken)

    def __getitem__(self, name: str) -> Thing:
        if name not in self._used and name in self.built_in:
            from importlib.metadata import EntryPoint

            self._used[name] = EntryPoint(name, self.built_in[name], self.group).load()
        elif name not in self._used and not self._plugin(name):
            raise KeyError(name)
        return self._used[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self.built_in or self._plugin(name))

    def __iter__(self) -> Iterator[str]:
        return iter([*self.built_in, *filter(self._plugin, self.plugins())])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _entries(self) -> "dict[str, EntryPoint]":
        """The plug-ins whose name is theirs alone."""
        if self._found is None:
            by_name: dict[str, list[EntryPoint]] = {}
            for entry in sorted(self._installed(), key=lambda entry: (entry.name, _name(entry.dist))):
                by_name.setdefault(entry.name, []).append(entry)
            for name, entries in by_name.items():
                owners = " and ".join(_name(entry.dist) for entry in entries)
                if name in self.built_in:
                    self._broken[name] = f"{owners}: the name is taken, essential has its own {name!r}"
                elif len(entries) > 1:
                    self._broken[name] = f"{owners}: the name is taken, several packages have it; keep one of them"
            self._found = {name: entries[0] for name, entries in by_name.items() if name not in self._broken}
        return self._found

    def _installed(self) -> "Iterator[EntryPoint]":
        """The group's entry points of every package, each package once; one with an unreadable list is `broken`."""
        from importlib.metadata import distributions

        packages = [(package, self._of_group(package)) for package in distributions()]
        if all(entries == [] for _, entries in packages):
            return  # the names of all packages take a while to read
        from packaging.utils import canonicalize_name

        seen = set()
        for package, entries in packages:
            name = _name(package)
            if name == _UNNAMED or canonicalize_name(name) not in seen:
                seen.add(canonicalize_name(name))
                if entries is None:
                    self._broken[name] = f"{name}: its list of entry points cannot be read"
                yield from entries or ()

    def _of_group(self, package: "Distribution") -> "list[EntryPoint] | None":
        """The group's entry points of a package; None: they cannot be read."""
        try:
            return [entry for entry in package.entry_points if entry.group == self.group]
        except Exception:
            with suppress(Exception):
                return None if self.group in (package.read_text("entry_points.txt") or "") else []
            return []

    def _plugin(self, name: str) -> bool:
        """Import a plug-in unless it has been; return whether there is one of that name that can be used."""
        entry = self._entries().get(name)
        mine = (get_ident(), name)
        if entry is None or name in self._broken or mine in self._importing:
            return False  # a plug-in that asks for all names while it is imported is not there yet
        if name not in self._used:
            self._importing.add(mine)
            try:
                thing, reason = self._imported(entry)
            finally:
                self._importing.discard(mine)
            if reason is not None:
                self._broken[name] = printable(f"{_name(entry.dist)}: {reason}")
                return False
            self._used[name] = thing
        return True

    def _imported(self, entry: "EntryPoint") -> tuple[Any, str | None]:
        """Return a plug-in's object, and what is wrong with it."""
        # Any error of a plug-in must leave the commands that do not use it working.
        try:
            reason = _wrong_version(entry.dist)
            thing = None if reason else entry.load()
            return thing, reason or self._fault(entry.name, thing)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return None, f"{entry.value} raised {described(error)}"


_registries: "list[ref[Registry[Any]]]" = []


def broken_so_far() -> dict[str, str]:
    """Return the plug-ins of all groups that have turned out to be broken, and why; imports nothing."""
    present = [one for one in (weak() for weak in _registries) if one is not None]
    return {f"{one.group} {name}": reason for one in present for name, reason in sorted(one._broken.items())}


def _name(package: "Distribution | None") -> str:
    with suppress(Exception):  # what describes it may be damaged
        if package is not None and package.metadata["Name"]:
            return printable(package.metadata["Name"])
    return _UNNAMED


def _wrong_version(package: "Distribution | None") -> str | None:
    """Return what a package requires of essential, if this version is not it."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    from essential.version import __version__

    required = map(Requirement, (None if package is None else package.requires) or ())
    for one in (one for one in required if canonicalize_name(one.name) == _PACKAGE):
        applies = one.marker is None or one.marker.evaluate({"extra": ""})
        if applies and not one.specifier.contains(__version__, prereleases=True):
            return f"of a wrong version: it is for {_PACKAGE} {one.specifier}, and this is {__version__}"
    return None
