# PyTorch Tensor-Konvertierung
import torch

# PyTorch → RusTorch
torch_tensor = torch.randn(3, 4)
rust_tensor = rustorch_py.from_torch(torch_tensor)

# RusTorch → PyTorch
pytorch_tensor = rust_tensor.to_torch()
