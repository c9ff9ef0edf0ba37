import rustorch_py.optim as optim

# Optimierer
adam = optim.Adam(model.parameters(), lr=0.001)
sgd = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

# Training-Schleife
for epoch in range(num_epochs):
    prediction = model.forward(input_data)
    loss = criterion(prediction, target)
    
    # Gradientenberechnung
    loss.backward()
    
    # Parameter aktualisieren
    optimizer.step()
    optimizer.zero_grad()
