try:
    tensor = rustorch_py.create_tensor(data, shape)
except rustorch_py.TensorError as e:
    print(f"Tensor-Fehler: {e}")
except rustorch_py.DeviceError as e:
    print(f"Device-Fehler: {e}")
