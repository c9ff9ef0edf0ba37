# Aktivierung von SIMD-Optimierungen
rustorch_py.set_simd_enabled(True)

# Parallelisierung aktivieren
rustorch_py.set_num_threads(8)  # Für CPU-Parallelisierung
