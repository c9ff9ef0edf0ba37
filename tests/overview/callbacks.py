# Python-Callbacks für Training
def training_callback(epoch, loss, accuracy):
    print(f"Epoch {epoch}: Loss={loss:.4f}, Accuracy={accuracy:.4f}")

# Callback registrieren
rustorch_py.callbacks.register_training_callback(training_callback)

# Training mit Callbacks
trainer = rustorch_py.training.Trainer(model, optimizer, criterion)
trainer.train(dataloader, epochs=100)
