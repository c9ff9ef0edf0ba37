import rustorch_py.nn as nn

# Grundlegende Schichten
linear = nn.Linear(in_features, out_features)
conv2d = nn.Conv2d(in_channels, out_channels, kernel_size)
lstm = nn.LSTM(input_size, hidden_size, num_layers)

# Aktivierungsfunktionen
relu = nn.ReLU()
sigmoid = nn.Sigmoid()
tanh = nn.Tanh()
gelu = nn.GELU()

# Loss-Funktionen
mse_loss = nn.MSELoss()
cross_entropy = nn.CrossEntropyLoss()
