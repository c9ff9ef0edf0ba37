import rustorch_py.tensor as tensor

# Tensor-Erstellung
zeros = tensor.zeros([3, 4])
ones = tensor.ones([2, 2])
randn = tensor.randn([5, 5])

# Operationen
result = tensor.add(a, b)
transposed = tensor.transpose(matrix, 0, 1)
reshaped = tensor.reshape(tensor_input, [6, -1])
