"""Event files hold what was written."""
import pytest

import rustorch_py as torch

tensorboardX = pytest.importorskip("tensorboardX")


def test_scalars_histograms_and_pictures(tmp_path):
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter  # noqa: F401  (the format's own module is there)

    from rustorch_py.utils.tensorboard import SummaryWriter
    with SummaryWriter(tmp_path / "log") as writer:
        writer.add_scalar("loss", torch.tensor(0.5), 3)
        writer.add_scalar("half", torch.tensor(2.0).bfloat16(), 3)
        writer.add_scalars("both", {"a": torch.tensor(1.0), "b": 2.0}, 1)
        writer.add_histogram("weights", torch.arange(10.0), 0)
        writer.add_image("picture", torch.rand(3, 4, 5), 0)
        writer.add_text("note", "hello")
        with pytest.raises(NotImplementedError, match="plot_model_graph"):
            writer.add_graph(None)
    files = [p for p in (tmp_path / "log").iterdir() if p.is_file()]
    blob = files[0].read_bytes()
    tags, at = {}, 0
    while at < len(blob):      # length, its checksum, the event, its checksum
        n = int.from_bytes(blob[at:at + 8], "little")
        event = Event.FromString(blob[at + 12:at + 12 + n])
        for value in event.summary.value:
            tags[value.tag] = value, event.step
        at += 16 + n
    assert tags["loss"][0].simple_value == 0.5 and tags["loss"][1] == 3
    assert tags["half"][0].simple_value == 2.0
    assert sum(tags["weights"][0].histo.bucket) == 10
    assert (tags["picture"][0].image.height, tags["picture"][0].image.width) == (4, 5)
