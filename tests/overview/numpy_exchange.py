import numpy as np
import rustorch_py

# NumPy → RusTorch
numpy_array = np.array([[1, 2], [3, 4]], dtype=np.float32)
rust_tensor = rustorch_py.from_numpy(numpy_array)

# RusTorch → NumPy
numpy_result = rust_tensor.numpy()
