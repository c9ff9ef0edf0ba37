"""from_file: tensors over files."""
import array

import pytest

import rustorch_py as torch


def test_private_and_shared(tmp_path):
    path = tmp_path / "numbers.bin"
    path.write_bytes(array.array("d", [1.0, 2.0, 3.0]).tobytes())
    private = torch.from_file(str(path), size=3, dtype=torch.float64)
    private[0] = 9.0
    assert private.tolist() == [9.0, 2.0, 3.0] and array.array("d", path.read_bytes())[0] == 1.0
    shared = torch.from_file(path, shared=True, size=4, dtype=torch.float64)
    shared[0] = 7.0
    assert list(array.array("d", path.read_bytes())) == [7.0, 2.0, 3.0, 0.0]
    made = torch.from_file(tmp_path / "new.bin", shared=True, size=2)
    made.add_(1)
    assert made.dtype == torch.float32 and (tmp_path / "new.bin").stat().st_size == 8
    assert torch.from_file(path, size=0, dtype=torch.int64).shape == (0,)


def test_refusals(tmp_path):
    path = tmp_path / "short.bin"
    path.write_bytes(b"1234")
    with pytest.raises(RuntimeError, match="4 bytes is shorter"):
        torch.from_file(path, size=2)
    with pytest.raises(OSError):
        torch.from_file(tmp_path / "missing.bin", size=1)
    with pytest.raises(ValueError, match="negative"):
        torch.from_file(path, size=-1)
    with pytest.raises(ValueError, match="device"):
        torch.from_file(path, size=1, device="cuda")
    with pytest.raises(TypeError, match="must be str, not Tensor"):           # its bytes would be a name
        torch.from_file(torch.ones(2), shared=True, size=1)


def test_names_of_what_is_not_built():
    assert torch.backends.opt_einsum.enabled is False and torch.backends.opt_einsum.strategy is None and not torch.backends.opt_einsum.is_available()
    assert torch.backends.quantized.engine == "none" and torch.backends.quantized.supported_engines == []
    with pytest.raises(RuntimeError, match="fbgemm"):
        torch.backends.quantized.engine = "fbgemm"
    assert torch.legacy_contiguous_format is torch.contiguous_format


def test_streams_of_the_cpu():
    stream = torch.Stream("cpu")
    event = stream.record_event()
    stream.wait_event(event)
    stream.wait_stream(torch.cpu.current_stream())
    assert stream.query() and event.query() and repr(stream) == "torch.Stream device_type=cpu, device_index=-1, stream_id=0"
    first, second = torch.Event(enable_timing=True), torch.Event(enable_timing=True)
    first.record()
    second.record()
    assert first.elapsed_time(second) >= 0
    with torch.cpu.stream(stream) as inside:
        assert inside is stream
    assert torch.cpu.is_available() and torch.cpu.device_count() == 1 and torch.cpu.current_device() == "cpu"
    torch.cpu.synchronize()
    with pytest.raises(TypeError, match="event"):
        stream.wait_event(3)
    with pytest.raises(RuntimeError, match="cuda"):
        torch.Stream("cuda")
    with pytest.raises(RuntimeError, match="cpu"):
        torch.cpu.set_device("cuda")
