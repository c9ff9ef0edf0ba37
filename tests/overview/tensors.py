import rustorch_py

# Tensor erstellen
tensor = rustorch_py.create_tensor([1, 2, 3, 4], shape=[2, 2])
print(f"Tensor: {tensor}")

# Grundlegende Operationen
result = rustorch_py.tensor_add(tensor, tensor)
matrix_result = rustorch_py.tensor_matmul(tensor, tensor)
