import rustorch_py.distributed as dist

# Initialisierung
dist.init_process_group("nccl", rank=0, world_size=4)

# Multi-GPU Training
model = nn.DataParallel(model, device_ids=[0, 1, 2, 3])

# All-Reduce für Gradient-Synchronisation
dist.all_reduce(tensor, op=dist.ReduceOp.SUM)
