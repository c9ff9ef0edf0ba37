import rustorch_py.visualization as viz

# Training-Metriken plotten
viz.plot_training_history(losses, accuracies)

# Tensor-Visualisierung
viz.visualize_tensor(tensor, title="Gewichte Verteilung")

# Netzwerk-Architektur
viz.plot_model_graph(model)
