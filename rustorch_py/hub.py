"""Models published in repositories (``torch.hub``): a file ``hubconf.py`` whose functions make them, and weights by URL."""
import errno
import hashlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlparse
from urllib.request import Request, urlopen

from .errors import TensorError, TensorValueError

__all__ = ["download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url", "set_dir"]

_HASH_IN_NAME = re.compile(r"-([a-f0-9]*)\.")
_BLOCK_BYTES = 1 << 17
_OWNERS = ("facebookresearch", "facebookincubator", "pytorch", "fairinternal")      # trusted by PyTorch without being asked about
_dir = None


def _torch_home():
    return os.path.expanduser(os.getenv("TORCH_HOME", os.path.join(os.getenv("XDG_CACHE_HOME", "~/.cache"), "torch")))


_get_torch_home = _torch_home


def get_dir():
    """Return the folder for repositories and weights: as set, else ``$TORCH_HOME/hub``, by default ``~/.cache/torch/hub``."""
    if os.getenv("TORCH_HUB"):
        warnings.warn("TORCH_HUB is deprecated, please use env TORCH_HOME instead", stacklevel=2)
    return os.path.join(_torch_home(), "hub") if _dir is None else _dir


def set_dir(d):
    """Set the folder for repositories and weights."""
    global _dir
    _dir = os.path.expanduser(d)


# ---- files ---------------------------------------------------------------------------------------------
def download_url_to_file(url, dst, hash_prefix=None, progress=True):
    """Download a file; what is at the destination is replaced at once, when all has come and its hash is right.

    Args:
        url: where it is.
        dst: the file to write.
        hash_prefix: the first digits of its SHA-256.
        progress: tell on the terminal how far it is.
    Raises:
        RuntimeError: another hash.
    """
    dst = os.path.expanduser(os.fspath(dst))
    digest, done = hashlib.sha256(), 0
    with urlopen(Request(url, headers={"User-Agent": "rustorch_py.hub"})) as source:
        total = int(source.headers.get("Content-Length") or 0)
        handle, partial = tempfile.mkstemp(prefix=os.path.basename(dst) + ".", suffix=".partial", dir=os.path.dirname(os.path.abspath(dst)))
        try:
            with os.fdopen(handle, "wb") as out:
                while block := source.read(_BLOCK_BYTES):
                    out.write(block)
                    digest.update(block)
                    done += len(block)
                    if progress and sys.stderr.isatty():
                        sys.stderr.write(f"\r{done / 1e6:.1f} of {total / 1e6:.1f} MB" if total else f"\r{done / 1e6:.1f} MB")
            if progress and sys.stderr.isatty():
                sys.stderr.write("\n")
            if hash_prefix is not None and not digest.hexdigest().startswith(hash_prefix):
                raise TensorError(f'invalid hash value (expected "{hash_prefix}", got "{digest.hexdigest()}")', op="download_url_to_file")
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(partial, 0o666 & ~umask)
            os.replace(partial, dst)
        except BaseException:
            if os.path.exists(partial):
                os.remove(partial)
            raise


def _unpacked(path, folder):
    """The one file of an old zip archive of weights."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) != 1:
            raise TensorError("Only one file(not dir) is allowed in the zipfile", op="load_state_dict_from_url")
        archive.extractall(folder)
        return os.path.join(folder, members[0].filename)


def load_state_dict_from_url(url, model_dir=None, map_location=None, progress=True, check_hash=False, file_name=None, weights_only=False):
    """Load what was saved at a URL; the file is kept and found there the next time.

    Args:
        url: where it is; the last part of its path names the file.
        model_dir: where the file is kept; default ``get_dir()/checkpoints``.
        map_location, weights_only: as for ``load``.
        progress: tell on the terminal how far the download is.
        check_hash: the name ends in ``-<digits>`` before its suffix: the first digits of its SHA-256, which must be right.
        file_name: another name for the file.
    """
    from .utils.serialization import load as load_file
    folder = os.path.join(get_dir(), "checkpoints") if model_dir is None else os.fspath(model_dir)
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        sys.stderr.write(f'Downloading: "{url}" to {path}\n')
        found = _HASH_IN_NAME.search(name) if check_hash else None
        download_url_to_file(url, path, found[1] if found else None, progress=progress)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            is_archive = not any(n.filename.endswith("data.pkl") for n in archive.infolist())
        if is_archive:
            path = _unpacked(path, folder)
    return load_file(path, map_location=map_location, weights_only=weights_only)


# ---- repositories --------------------------------------------------------------------------------------
def _asked(url):
    headers = {"Accept": "application/vnd.github.v3+json"}
    if os.environ.get("GITHUB_TOKEN"):
        headers["Authorization"] = "token " + os.environ["GITHUB_TOKEN"]
    with urlopen(Request(url, headers=headers)) as answer:
        return answer.read().decode(answer.headers.get_content_charset() or "utf-8")


def _parsed(github):
    """(owner, name, branch or tag) of ``owner/name[:ref]``; without a ref main or master, whichever there is."""
    repo, _, ref = github.partition(":")
    if repo.count("/") != 1:
        raise TensorValueError(f"hub: expected a repository 'owner/name[:ref]', got {github!r}", op="hub")
    owner, name = repo.split("/")
    if not ref:
        try:
            with urlopen(f"https://github.com/{owner}/{name}/tree/main/"):
                ref = "main"
        except HTTPError as error:
            if error.code != 404:
                raise
            ref = "master"
        except URLError as error:
            # no network: what was fetched before may serve
            for ref in ("main", "master"):
                if os.path.exists(_folder(owner, name, ref)):
                    return owner, name, ref
            raise TensorError(f"It looks like there is no internet connection and the repo could not be found in the cache ({get_dir()})", op="hub") from error
    return owner, name, ref


def _folder(owner, name, ref):
    return os.path.join(get_dir(), f"{owner}_{name}_{ref.replace('/', '_')}")


def _check_ref(owner, name, ref):
    """Refuse a branch or tag that is a fork's: GitHub serves its commits under the original's name."""
    import json
    for kind in ("branches", "tags"):
        for page in range(1, 1000):
            rows = json.loads(_asked(f"https://api.github.com/repos/{owner}/{name}/{kind}?per_page=100&page={page}"))
            if any(ref == row["name"] or row["commit"]["sha"].startswith(ref) for row in rows):
                return
            if len(rows) < 100:
                break
    raise TensorValueError(f"Cannot find {ref} in https://github.com/{owner}/{name}. If it's a commit from a forked repo, please call hub.load() with "
                           "forked repo directly.", op="hub")


def _ask_trust(owner, name, trust_repo):
    """Whether code of a repository may run: asked once, and remembered in the folder's ``trusted_list``."""
    path = os.path.join(get_dir(), "trusted_list")
    trusted = Path(path).read_text(encoding="utf-8").split() if os.path.exists(path) else []
    label = f"{owner}_{name}"
    if label in trusted or owner in _OWNERS and trust_repo is not False:
        return
    if trust_repo not in (True, False, None, "check"):
        raise TensorValueError(f"hub: expected trust_repo True, False, None or 'check', got {trust_repo!r}", op="hub")
    if trust_repo is None:
        warnings.warn("You are about to download and run code from an untrusted repository. In a future release, this won't be allowed. To add the "
                      "repository to your trusted list, pass trust_repo=False and be asked whether you trust it, or trust_repo=True, which answers yes.", stacklevel=4)
        return
    if trust_repo is not True:
        answer = input(f"The repository {label} does not belong to the list of trusted repositories and as such cannot be downloaded. Do you trust this "
                       "repository and wish to add it to the trusted list of repositories (y/N)?")
        if answer.lower() not in ("y", "yes"):
            raise TensorError("Untrusted repository." if answer.lower() in ("", "n", "no") else f"Unrecognized response {answer}.", op="hub")
    with open(path, "a", encoding="utf-8") as f:
        f.write(label + "\n")


def _fetched(github, force_reload, trust_repo, verbose, skip_validation):
    """The folder of a repository, downloaded unless it is there."""
    os.makedirs(get_dir(), exist_ok=True)
    owner, name, ref = _parsed(github)
    folder = _folder(owner, name, ref)
    _ask_trust(owner, name, trust_repo)
    if os.path.exists(folder) and not force_reload:
        if verbose:
            sys.stderr.write(f"Using cache found in {folder}\n")
        return folder
    if not skip_validation:
        _check_ref(owner, name, ref)
    with tempfile.TemporaryDirectory(dir=get_dir()) as room:
        archive = os.path.join(room, "repository.zip")
        sys.stderr.write(f'Downloading: "https://github.com/{owner}/{name}/zipball/{ref}" to {folder}\n')
        download_url_to_file(f"https://github.com/{owner}/{name}/zipball/{ref}", archive, progress=False)
        with zipfile.ZipFile(archive) as source:
            top = source.infolist()[0].filename
            source.extractall(room)
        if os.path.exists(folder):
            shutil.rmtree(folder)
        shutil.move(os.path.join(room, top), folder)
    return folder


class _Config:
    """A repository's hubconf.py, imported with the repository's folder on the path."""

    def __init__(self, folder):
        path = os.path.join(folder, "hubconf.py")
        if not os.path.exists(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self.folder = os.fspath(folder)
        with self:
            spec = importlib.util.spec_from_file_location("hubconf", path)
            self.module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(self.module)

    def __enter__(self):
        sys.path.insert(0, self.folder)
        return self

    def __exit__(self, *exc):
        if self.folder in sys.path:
            sys.path.remove(self.folder)

    def check_dependencies(self):
        missing = [d for d in getattr(self.module, "dependencies", ()) if d != "torch" and importlib.util.find_spec(d) is None]
        if missing:
            raise TensorError(f"Missing dependencies: {', '.join(missing)}", op="hub")

    def entry(self, name):
        if not isinstance(name, str):
            raise TensorValueError("Invalid input: model should be a string of function name", op="hub")
        self.check_dependencies()
        found = getattr(self.module, name, None)
        if not callable(found):
            raise TensorError(f"Cannot find callable {name} in hubconf", op="hub")
        return found


def list(github, force_reload=False, skip_validation=False, trust_repo="check", verbose=True):
    """Return the names of a repository's entry points: the public functions of its hubconf.py.

    Args:
        github: ``owner/name[:ref]``.
        force_reload: download again.
        skip_validation: do not ask GitHub whether the ref is the repository's own.
        trust_repo: True: run its code without asking; False: ask; "check": ask unless it is on the trusted list; None: warn.
        verbose: say when the folder is there already.
    """
    config = _Config(_fetched(github, force_reload, trust_repo, verbose, skip_validation))
    return [f for f in dir(config.module) if callable(getattr(config.module, f)) and not f.startswith("_")]


def help(github, model, force_reload=False, skip_validation=False, trust_repo="check"):
    """Return the docstring of an entry point; arguments as for `list`."""
    return _Config(_fetched(github, force_reload, trust_repo, True, skip_validation)).entry(model).__doc__


def load(repo_or_dir, model, *args, source="github", trust_repo="check", force_reload=False, verbose=True, skip_validation=False, **kwargs):
    """Call an entry point of a repository and return what it makes.

    Args:
        repo_or_dir: ``owner/name[:ref]``, or a folder with ``source="local"``.
        model: the entry point's name. args, kwargs: its arguments.
        source: "github" or "local".
        trust_repo, force_reload, verbose, skip_validation: as for `list`; without meaning for a folder.
    """
    if source.lower() not in ("github", "local"):
        raise TensorValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".', op="hub")
    folder = repo_or_dir if source.lower() == "local" else _fetched(repo_or_dir, force_reload, trust_repo, verbose, skip_validation)
    with _Config(folder) as config:
        return config.entry(model)(*args, **kwargs)
