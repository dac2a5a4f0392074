"""Unpacking what was uploaded: only the names an adapter may have, as plain files, under the limits."""

import shutil
from functools import partial
from pathlib import Path, PurePosixPath

from adapters.archive_reader import CHUNK, Member, members, translated
from adapters.errors import AdapterRefused, Problem, TooLarge, printable
from adapters.limits import Limits

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PROBES = "probes.json"
RUN = "run.json"
REQUIRED = (CONFIG, WEIGHTS)
# What PEFT, transformers and `patchbay train` leave beside an adapter.
ALLOWED = frozenset(
    (*REQUIRED, PROBES, RUN, "README.md", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
     "added_tokens.json", "tokenizer.model", "vocab.json", "merges.txt", "chat_template.jinja")
)  # fmt: skip
# Why the usual strays are refused, by how their names end.
_WHY = {
    (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".npz", ".joblib"): "may be pickled, which runs code when it is read; save as safetensors",
    (".py", ".pyc", ".so", ".dll", ".exe", ".sh", ".ipynb"): "is code, and none is ever run or kept",
    (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar"): "is an archive in the archive; send the files themselves",
}  # fmt: skip


def unpack(archive: Path, into: Path, limits: Limits) -> list[Problem]:
    """Writes the files that an adapter may have from a .zip, .tar or .tar.gz into the empty folder `into`.

    They may lie at the top or together in one folder. Returns what is wrong with the other entries: they
    escape, are no plain files, are doubled or have no business in an adapter, and nothing is written of them.

    Raises:
        AdapterRefused: no archive that can be read.
        TooLarge: more files or bytes than `limits` allow.
    """
    with members(archive, limits) as found:
        files = [member for member in found if not member.is_folder]
        if len(files) > limits.files:
            raise TooLarge(
                f"the archive holds {len(files)} files; at most {limits.files} are taken, an adapter has at most {len(ALLOWED)}",
                param="archive",
            )
        refused = {number: problem for number, member in enumerate(found) if (problem := _refusal(member))}
        problems = [*refused.values(), *_together(files)]
        fit = [m for number, m in enumerate(found) if number not in refused and not m.is_folder]
        try:
            _extract(fit, archive, into, limits)
        except AdapterRefused as error:
            raise AdapterRefused((*problems, *error.problems)) from error
    return problems


def _together(files: list[Member]) -> list[Problem]:
    """What is wrong with the files as a whole."""
    names = [PurePosixPath(member.path).name for member in files]
    found = [
        Problem("duplicate_file", "is in the archive more than once", n) for n in sorted({n for n in names if names.count(n) > 1})
    ]
    folders = {PurePosixPath(member.path).parent.as_posix() for member in files}
    if len(folders) > 1:
        listed = ", ".join(printable(folder, 60) for folder in sorted(folders)[:4])
        found.append(Problem("several_folders", f"files lie in {len(folders)} folders ({listed}); put them in one"))
    if not files:
        found.append(Problem("empty_archive", f"the archive holds no file; an adapter has {' and '.join(REQUIRED)}"))
    return found


def _refusal(member: Member) -> Problem | None:
    path = PurePosixPath(member.path)
    if path.is_absolute() or ".." in path.parts or any(c in "\\:" or not c.isprintable() for c in member.path):
        return Problem("path_escapes", "leads out of the adapter's folder, or is no name for a file", member.path)
    if member.unfit:
        return Problem("not_a_plain_file", member.unfit, member.path)
    return None if member.is_folder else file_refusal(member.path)


def file_refusal(path: str) -> Problem | None:
    """Why a file has no business in an adapter, or None; only the last part of its path counts."""
    name = PurePosixPath(path).name
    if name in ALLOWED:
        return None
    reason = next((why for endings, why in _WHY.items() if name.lower().endswith(endings)), "has no business in an adapter")
    return Problem("file_not_allowed", f"{reason}; allowed: {', '.join(sorted(ALLOWED))}", path)


def _extract(files: list[Member], archive: Path, into: Path, limits: Limits) -> None:
    allowed = min(limits.unpacked, max(limits.json_file, archive.stat().st_size * limits.ratio))
    written = 0
    for member in files:
        name = PurePosixPath(member.path).name
        if (into / name).exists():
            continue  # doubled, and reported as such
        source = translated(member.open, name)
        if source is None:
            raise AdapterRefused((Problem("not_a_plain_file", "cannot be opened", name),))
        with source, (into / name).open("xb") as target:
            while chunk := translated(partial(source.read, CHUNK), name):
                written += len(chunk)
                if written > allowed:
                    raise TooLarge(
                        f"the archive unpacks to more than {allowed} bytes; the cap is {limits.unpacked} bytes "
                        f"and {limits.ratio} times the archive's own size",
                        param="archive",
                    )
                target.write(chunk)


def copy_folder(folder: Path, into: Path) -> None:
    """Copies an adapter's files from a folder on this machine (a run folder's adapter/ counts as one)."""
    for path in adapter_files(folder):
        shutil.copyfile(path, into / path.name)


def adapter_files(folder: Path) -> list[Path]:
    """The files of the adapter in `folder` that may be uploaded, the two required ones among them.

    Raises:
        AdapterRefused: a required file is not there.
    """
    source = folder / "adapter" if not (folder / CONFIG).exists() and (folder / "adapter").is_dir() else folder
    missing = [name for name in REQUIRED if not (source / name).is_file()]
    if missing:
        raise AdapterRefused(
            tuple(Problem("missing_file", f"is not in {source}; give a PEFT adapter's folder", name) for name in missing)
        )
    return [path for path in sorted(source.iterdir()) if path.name in ALLOWED and path.is_file()]
