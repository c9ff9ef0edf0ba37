# JIT-Kompilierung für kritische Funktionen
@rustorch_py.jit.script
def optimized_function(x, y):
    return rustorch_py.operations.mul(x, y) + rustorch_py.operations.sin(x)

result = optimized_function(tensor1, tensor2)
