import rustorch_py.autograd as autograd

# Variable mit Gradientenberechnung
var = autograd.Variable(data, requires_grad=True)

# Gradienten berechnen
loss = compute_loss(var)
autograd.backward(loss)

# Gradientensammlung aktivieren/deaktivieren
with autograd.no_grad():
    prediction = model.forward(input_data)
