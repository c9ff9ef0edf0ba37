# Speicher-Pool für effiziente Allokation
rustorch_py.memory.enable_memory_pool()

# GPU-Speicher-Cache leeren
if rustorch_py.cuda.is_available():
    rustorch_py.cuda.empty_cache()
