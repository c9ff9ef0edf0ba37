# Globale Einstellungen
rustorch_py.config.set_default_device("cuda:0")
rustorch_py.config.set_default_dtype(rustorch_py.float32)
rustorch_py.config.enable_fast_math(True)

# Thread-Pool Konfiguration
rustorch_py.config.set_thread_pool_size(16)
