# Schichten definieren
linear = rustorch_py.nn.Linear(input_size=784, output_size=128)
relu = rustorch_py.nn.ReLU()
dropout = rustorch_py.nn.Dropout(p=0.2)

# Sequential Modell
model = rustorch_py.nn.Sequential([
    linear,
    relu,
    dropout,
    rustorch_py.nn.Linear(128, 10)
])

# Forward Pass
input_data = rustorch_py.create_tensor(data, shape=[batch_size, 784])
output = model.forward(input_data)
