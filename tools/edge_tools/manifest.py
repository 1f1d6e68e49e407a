"""
Which files a board carries, by the word of a MicroPython manifest.

A manifest is a Python file that upstream's build runs to learn what to freeze. This
module runs the same file to learn what of ours it names: for the flashing tool, for
`make size` and for the test that no host file is ever flashed. What comes from
upstream, `include("$(PORT_DIR)/…")` and `require("…")`, is passed over. Every path
in a manifest is relative to the manifest's own folder.
"""

from collections.abc import Iterable
from pathlib import Path


def flashed_files(manifest_path: Path, **options: object) -> list[Path]:
    """Return the files that the manifest names under these options, in its order.

    The paths are absolute, each appears once. Raise FileNotFoundError when the
    manifest names a file or a package that is not there.
    """
    return list(dict.fromkeys(_Manifest(manifest_path, options).files))


def option_defaults(manifest_path: Path) -> dict[str, object]:
    """Return the options that the manifest declares, with the values it gives them."""
    return _Manifest(manifest_path, {}).options.declared


class _Options:
    """What a manifest sees as `options`."""

    def __init__(self, given: dict[str, object]) -> None:
        self.declared: dict[str, object] = {}
        self._given = given

    def defaults(self, **declared: object) -> None:
        self.declared = declared

    def __getattr__(self, name: str) -> object:
        return self._given.get(name, self.declared.get(name))


class _Manifest:
    """One manifest, run: its methods are the words of the manifest language."""

    def __init__(self, path: Path, options: dict[str, object]) -> None:
        self.files: list[Path] = []
        self.options = _Options(options)
        self._folder = path.resolve().parent
        words = (self.metadata, self.require, self.include, self.package, self.module)
        scope = {word.__name__: word for word in words} | {"options": self.options}
        exec(compile(path.read_text(), path, "exec"), scope)

    def metadata(self, **_about: object) -> None:
        pass

    def require(self, _name: str, **_options: object) -> None:
        pass

    def include(self, path: str, **options: object) -> None:
        if path.startswith("$("):
            return
        manifest = self._folder / path
        if manifest.is_dir():
            manifest /= "manifest.py"
        self.files += _Manifest(manifest, options).files

    def package(
        self, name: str, files: Iterable[str] | None = None, base_path: str = ".", opt: int = 0
    ) -> None:
        folder = self._folder / base_path / name
        found = sorted(folder.rglob("*.py")) if files is None else [folder / f for f in files]
        if not found:
            raise FileNotFoundError(f"{folder} has no Python files")
        self._add(found)

    def module(self, name: str, base_path: str = ".", opt: int = 0) -> None:
        self._add([self._folder / base_path / name])

    def _add(self, paths: list[Path]) -> None:
        self.files += [path.resolve(strict=True) for path in paths]
