"""What runs on the GPU alone: CUDA kernels (`*.cu`), and algorithms made of them and of cuBLAS's products.

Every convolution is a kernel that gathers, a product, a kernel that finishes: ReLU's mask and unpooling are
read on the way in, bias, ReLU and pooling are done on the way out, so that nothing between is stored.
"""
