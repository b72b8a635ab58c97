//! Layers that the field knows by name, the only module that calls `pinxit-kernels`.
