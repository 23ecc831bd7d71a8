// Winograd's F(4x4, 3x3), fused with what stands before and behind the convolution.
//
// A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016), with the matrices of
// nst_manual/kernels/winograd_transforms.py:  y = A^T [ (G g G^T) * (B^T d B) ] A
//
// TURNED is 1 for the way back, a convolution with kernels turned by 180 degrees: the tiles are turned, going in
// and coming out, and the kernels stay.

#ifdef SOURCE
// r = B^T s
__device__ __forceinline__ void transform(const real s[6], real r[6]) {
    r[0] = 4 * s[0] - 5 * s[2] + s[4];
    r[1] = -4 * s[1] - 4 * s[2] + s[3] + s[4];
    r[2] = 4 * s[1] - 4 * s[2] - s[3] + s[4];
    r[3] = -2 * s[1] - s[2] + 2 * s[3] + s[4];
    r[4] = 2 * s[1] - s[2] - 2 * s[3] + s[4];
    r[5] = 4 * s[1] - 5 * s[3] + s[5];
}

// V (36, rows across, C) of rows of tiles from `first` on of image n; the tiles begin `top` and `left` pixels
// outside of it
extern "C" __global__ void input_transform(const real* x, const byte* code, const real* kept, real* v, int n,
                                           int first, int rows, int across, int H, int W, int C, int top,
                                           int left) {
    count_t i = THREAD, tiles = (count_t)rows * across;
    if (i >= tiles * C) return;
    int c = i % C;
    count_t tile = i / C;
    int h = 4 * (first + (int)(tile / across)) - top, w = 4 * (int)(tile % across) - left;
    real e[6][6], s[6], r[6];
#pragma unroll
    for (int b = 0; b < 6; ++b) {
#pragma unroll
        for (int a = 0; a < 6; ++a)
            s[a] = read(x, code, kept, n, h + (TURNED ? 5 - a : a), w + (TURNED ? 5 - b : b), c, H, W, C);
        transform(s, r);
#pragma unroll
        for (int a = 0; a < 6; ++a) e[a][b] = r[a];
    }
#pragma unroll
    for (int a = 0; a < 6; ++a) {
        transform(e[a], r);
#pragma unroll
        for (int b = 0; b < 6; ++b) v[((index_t)(6 * a + b) * tiles + tile) * C + c] = r[b];
    }
}
#endif

#ifdef SINK
// r = A^T s
__device__ __forceinline__ void transform_back(const real s[6], real r[4]) {
    r[0] = s[0] + s[1] + s[2] + s[3] + s[4];
    r[1] = s[1] - s[2] + 2 * s[3] - 2 * s[4];
    r[2] = s[1] + s[2] + 4 * s[3] + 4 * s[4];
    r[3] = s[1] - s[2] + 8 * s[3] - 8 * s[4] + s[5];
}

// from M (36, rows across, O) to the sink; H and W are the size of the convolution's output
extern "C" __global__ void output_transform(const real* m, real* y, byte* code, const real* bias, int n,
                                            int first, int rows, int across, int H, int W, int O) {
    count_t i = THREAD, tiles = (count_t)rows * across;
    if (i >= tiles * O) return;
    int o = i % O;
    count_t tile = i / O;
    int h = 4 * (first + (int)(tile / across)), w = 4 * (int)(tile % across);
    real e[4][6], s[6], t[4][4], r[4];
#pragma unroll
    for (int b = 0; b < 6; ++b) {
#pragma unroll
        for (int a = 0; a < 6; ++a) s[a] = m[((index_t)(6 * a + b) * tiles + tile) * O + o];
        transform_back(s, r);
#pragma unroll
        for (int a = 0; a < 4; ++a) e[a][b] = r[a];
    }
#pragma unroll
    for (int a = 0; a < 4; ++a) {
        transform_back(e[a], r);
#pragma unroll
        for (int b = 0; b < 4; ++b) t[TURNED ? 3 - a : a][TURNED ? 3 - b : b] = r[b];
    }
#if POOLS
#pragma unroll
    for (int a = 0; a < 4; a += 2)
#pragma unroll
        for (int b = 0; b < 4; b += 2) {
            real window[4] = {t[a][b], t[a][b + 1], t[a + 1][b], t[a + 1][b + 1]};
            if (h + a < H && w + b < W) finish_window(window, y, code, bias, n, h + a, w + b, o, H, W, O);
        }
#else
#pragma unroll
    for (int a = 0; a < 4; ++a)
#pragma unroll
        for (int b = 0; b < 4; ++b) finish(t[a][b], y, code, bias, n, h + a, w + b, o, H, W, O);
#endif
}
#endif
