"""The model graph: boxes, links, collapsed repeats."""
import pytest

import rustorch_py as torch
from rustorch_py import nn

pytest.importorskip("matplotlib")
from rustorch_py import visualization as viz  # noqa: E402
from rustorch_py._trace import trace  # noqa: E402
from rustorch_py.visualization._graph import _collapse, _layout, _strips  # noqa: E402


class Block(nn.Module):
    def __init__(self, width, out=None):
        super().__init__()
        out = out or width
        self.first = nn.Conv2d(width, out, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(out, out, 3, padding=1)
        self.short = nn.Conv2d(width, out, 1) if out != width else None

    def forward(self, x):
        return self.act(self.second(self.act(self.first(x))) + (x if self.short is None else self.short(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.blocks = nn.Sequential(Block(4), Block(4), Block(4), Block(4, 6))
        self.head = nn.Linear(6, 10)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


def texts(picture):
    found = [t.get_text() for t in picture.axes[0].texts]
    for artist in picture.axes[0].artists:
        found += [area.get_text() for area in artist.get_children()[0].get_children()]
    return found


def test_boxes_and_frames(tmp_path):
    model = Net()
    picture = viz.plot_model_graph(model, torch.zeros(1, 1, 8, 8), path=tmp_path / "graph.png")
    words = texts(picture)
    assert "× 3" in words and "Net" in words and "1×6×8×8   222 param." in words
    assert words.count("Conv2d") == 1 + 2 + 3
    assert sum(p.numel() for p in model.parameters()) == int(
        next(w for w in words if w.endswith("parameters")).split()[0].replace(",", ""))
    assert (tmp_path / "graph.png").stat().st_size > 10000
    whole = texts(viz.plot_model_graph(model, torch.zeros(1, 1, 8, 8), collapse=False))
    assert "× 3" not in whole and whole.count("Conv2d") == 1 + 6 + 3


def test_collapse_keeps_what_follows_connected():
    steps = trace(Net(), [torch.zeros(1, 1, 8, 8)]).steps
    kept, frames = _collapse(steps)
    assert [count for _, count in frames] == [3]
    known = set(map(id, kept))
    assert all(id(source) in known for step in kept for source in step.inputs)
    entry = next(s for s in kept if s.name == "blocks.3.first")
    assert [s.name for s in entry.inputs] == ["blocks.0.act"]
    place = _layout(kept)
    assert len(set(place.values())) == len(kept)
    assert all(place[id(source)][1] < place[id(step)][1] for step in kept for source in step.inputs)


def test_different_neighbours_are_not_collapsed():
    def count(model, shape):
        return [n for _, n in _collapse(trace(model, [torch.zeros(shape)]).steps)[1]]

    assert count(nn.Sequential(*[nn.Linear(4, 4) for _ in range(5)]), (1, 4)) == [5]
    assert count(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), (1, 4)) == []
    assert count(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 5), nn.Linear(5, 4)), (1, 4)) == []
    pair = [nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(2)]
    assert count(nn.Sequential(*pair), (1, 4)) == [2]
    nested = nn.Sequential(*[nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(3)]) for _ in range(2)])
    assert sorted(count(nested, (1, 4))) == [2, 3]


def test_a_block_used_again_further_on_stays_visible():
    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(4))

        def forward(self, x):
            kept = []
            for layer in self.layers:
                x = layer(x)
                kept.append(x)
            return x + kept[1]

    steps, frames = _collapse(trace(Skip(), [torch.zeros(1, 4)]).steps)
    add = next(s for s in steps if s.label == "add")
    assert {s.name for s in add.inputs} == {"layers.3", "layers.1"} and frames == []


def test_shape_is_guessed_or_asked_for():
    assert "1×784" in texts(viz.plot_model_graph(nn.Sequential(nn.Linear(784, 4))))
    assert "2×3" in texts(viz.plot_model_graph(nn.Linear(3, 3), input_size=(2, 3)))
    with pytest.raises(ValueError, match="example_input"):
        viz.plot_model_graph(nn.ReLU())


def test_shared_layers_and_two_inputs():
    class Twins(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 4)

        def forward(self, a, b):
            return self.body(a) * self.body(b)

    words = texts(viz.plot_model_graph(Twins(), [torch.zeros(1, 4), torch.zeros(1, 4)]))
    assert "Input 1" in words and "Input 2" in words and "1×4   shared" in words and "mul" in words


def test_tall_graphs_are_cut_into_strips():
    def starts(model, shape):
        steps, frames = _collapse(trace(model, [torch.zeros(shape)]).steps)
        return _strips(steps, _layout(steps), frames)

    def chain(n):
        return nn.Sequential(*[(nn.Linear(4, 4), nn.ReLU(), nn.Dropout(0.1))[i % 3] for i in range(n)])

    assert starts(chain(10), (1, 4)) == [0]
    assert starts(chain(20), (1, 4)) == [0, 11]
    assert len(starts(chain(200), (1, 4))) == 4

    class Long(nn.Module):  # one residual link over everything: no clean place to cut
        def __init__(self):
            super().__init__()
            self.body = chain(30)

        def forward(self, x):
            return x + self.body(x)

    assert starts(Long(), (1, 4)) == [0]
    picture = viz.plot_model_graph(chain(20), torch.zeros(1, 4))
    width, height = picture.get_size_inches()
    assert width > 6 and height < 12
