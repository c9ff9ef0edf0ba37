# CUDA-Unterstützung
if rustorch_py.cuda.is_available():
    device = rustorch_py.device("cuda:0")
    tensor_gpu = tensor.to(device)
    
    # GPU-Operationen
    result = rustorch_py.cuda.matmul(tensor_gpu, tensor_gpu)

# Metal-Unterstützung (macOS)
if rustorch_py.metal.is_available():
    metal_device = rustorch_py.device("metal:0")
    tensor_metal = tensor.to(metal_device)
