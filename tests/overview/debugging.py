# Debug-Modus aktivieren
rustorch_py.set_debug_mode(True)

# Profiling
with rustorch_py.profiler.profile() as prof:
    result = model.forward(input_data)

prof.print_stats()
