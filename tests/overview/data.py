import rustorch_py.data as data

# Dataset-Klasse
class CustomDataset(data.Dataset):
    def __init__(self, data, targets):
        self.data = data
        self.targets = targets
    
    def __len__(self):
        return len(self.data)
    
    def __getitem__(self, idx):
        return self.data[idx], self.targets[idx]

# DataLoader
dataset = CustomDataset(train_data, train_targets)
dataloader = data.DataLoader(
    dataset, 
    batch_size=32, 
    shuffle=True,
    num_workers=4
)
