# Gradient-fähige Tensoren
x = rustorch_py.create_variable([2.0, 3.0], requires_grad=True)
y = rustorch_py.create_variable([1.0, 4.0], requires_grad=True)

# Forward Pass
z = rustorch_py.operations.mul(x, y)
loss = rustorch_py.operations.sum(z)

# Backward Pass
rustorch_py.backward(loss)

print(f"Gradient von x: {x.grad}")
print(f"Gradient von y: {y.grad}")
