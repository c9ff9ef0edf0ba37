"""Models by repository and weights by URL, without a network: a folder, file:// URLs, and a GitHub that answers from memory."""
import hashlib
import io
import json
import zipfile

import pytest

import rustorch_py as torch
from rustorch_py import hub

CONF = '''
dependencies = ["torch", "json"]
import helper_of_hub_test

def line(width, bias=True):
    """A layer."""
    return helper_of_hub_test.made(width, bias)

def _hidden():
    pass
'''


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "_dir", str(tmp_path / "hub"))
    return tmp_path


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "hubconf.py").write_text(CONF)
    (folder / "helper_of_hub_test.py").write_text("def made(*args):\n    return args\n")
    return folder


def test_folder(repository):
    assert hub.load(repository, "line", 3, source="local", bias=False) == (3, False)
    with pytest.raises(RuntimeError, match="Cannot find callable"):
        hub.load(repository, "other", source="local")
    with pytest.raises(ValueError, match="source"):
        hub.load(repository, "line", 3, source="here")
    with pytest.raises(ValueError):
        hub.load(repository, 3, source="local")
    (repository / "hubconf.py").write_text("dependencies = ['no_such_module_here']\ndef line():\n    pass\n")
    with pytest.raises(RuntimeError, match="Missing dependencies"):
        hub.load(repository, "line", source="local")
    (repository / "hubconf.py").unlink()
    with pytest.raises(FileNotFoundError):
        hub.load(repository, "line", source="local")


def test_folders(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "_dir", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    assert hub.get_dir() == str(tmp_path / "cache" / "hub")
    hub.set_dir(tmp_path)
    assert hub.get_dir() == str(tmp_path)


def test_download(tmp_path):
    source, target = tmp_path / "a.bin", tmp_path / "b.bin"
    source.write_bytes(b"weights" * 1000)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    hub.download_url_to_file(source.as_uri(), target, hash_prefix=digest[:8])
    assert target.read_bytes() == source.read_bytes()
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="invalid hash"):
        hub.download_url_to_file(source.as_uri(), target, hash_prefix="00000000")
    assert target.read_bytes() == b"old" and sorted(p.name for p in tmp_path.iterdir()) == ["a.bin", "b.bin"]


def test_weights(home):
    torch.save({"w": torch.arange(3)}, home / "w.pt")
    digest = hashlib.sha256((home / "w.pt").read_bytes()).hexdigest()[:8]
    (home / "w.pt").rename(home / f"w-{digest}.pt")
    url = (home / f"w-{digest}.pt").as_uri()
    assert hub.load_state_dict_from_url(url, check_hash=True)["w"].tolist() == [0, 1, 2]
    (home / f"w-{digest}.pt").unlink()
    assert hub.load_state_dict_from_url(url, weights_only=True)["w"].tolist() == [0, 1, 2]          # kept
    torch.save({"w": torch.ones(1)}, home / "plain.pt")
    with zipfile.ZipFile(home / "old.zip", "w") as archive:
        archive.write(home / "plain.pt", "plain.pt")
    assert hub.load_state_dict_from_url((home / "old.zip").as_uri(), model_dir=str(home / "here"), file_name="x.zip")["w"].tolist() == [1.0]
    torch.save(torch.ones(1), home / "w-00000000.pt")
    with pytest.raises(RuntimeError, match="invalid hash"):
        hub.load_state_dict_from_url((home / "w-00000000.pt").as_uri(), check_hash=True)


class Answer(io.BytesIO):
    headers = type("Headers", (), {"get": lambda self, name: None, "get_content_charset": lambda self: "utf-8"})()


def test_github(home, repository, monkeypatch):
    asked = []

    def urlopen(request):
        url = getattr(request, "full_url", request)
        asked.append(url)
        if url.endswith("/zipball/v1"):
            box = io.BytesIO()
            with zipfile.ZipFile(box, "w") as archive:
                archive.writestr("someone-models-123/", "")
                for path in repository.iterdir():
                    if path.suffix == ".py":
                        archive.writestr(f"someone-models-123/{path.name}", path.read_text())
            return Answer(box.getvalue())
        rows = [{"name": "v1", "commit": {"sha": "abc"}}] if "/tags" in url else []
        return Answer(json.dumps(rows).encode())
    monkeypatch.setattr(hub, "urlopen", urlopen)
    answers = ["n", "y"]
    monkeypatch.setattr("builtins.input", lambda *_: answers.pop(0))
    with pytest.raises(RuntimeError, match="Untrusted"):
        hub.list("someone/models:v1")
    assert hub.list("someone/models:v1") == ["line"]
    n = len(asked)
    assert hub.help("someone/models:v1", "line") == "A layer." and hub.load("someone/models:v1", "line", 2) == (2, True)
    assert len(asked) == n and not answers                                    # trusted, and fetched already
    with pytest.raises(ValueError, match="Cannot find v2"):
        hub.load("someone/models:v2", "line", 2, trust_repo=True)
    assert hub.load("someone/models:v1", "line", 4, force_reload=True, skip_validation=True) == (4, True)
    assert asked[-1].endswith("/zipball/v1")
    with pytest.warns(UserWarning, match="untrusted"):
        with pytest.raises(ValueError):
            hub.load("other/models:v2", "line", trust_repo=None)
    with pytest.raises(ValueError, match="owner/name"):
        hub.load("models", "line")
