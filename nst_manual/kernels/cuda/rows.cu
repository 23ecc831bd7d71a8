// Rows of pixels on their way into matrix products and out of them.

#ifdef SOURCE
// rows from `top` and columns from `left` on of image n, zero outside of it: out (rows, width, C)
extern "C" __global__ void gather(const real* x, const byte* code, const real* kept, real* out, int n, int top,
                                  int left, int rows, int width, int H, int W, int C) {
    count_t i = THREAD;
    if (i >= (count_t)rows * width * C) return;
    int c = i % C;
    count_t pixel = i / C;
    int h = top + (int)(pixel / width), w = left + (int)(pixel % width);
    out[i] = read(x, code, kept, n, h, w, c, H, W, C);
}

// im2col: what the windows of output rows from `first` on meet, out (rows, Wo, groups, inner) where a group has
// kh kw C / groups numbers, and zeros up to `inner`
extern "C" __global__ void columns(const real* x, const byte* code, const real* kept, real* out, int n,
                                   int first, int rows, int Wo, int H, int W, int C, int groups, int inner,
                                   int kh, int kw, int sh, int sw, int ph, int pw, int dh, int dw) {
    count_t i = THREAD;
    if (i >= (count_t)rows * Wo * groups * inner) return;
    int j = i % inner;
    count_t pixel = i / inner;
    int group = pixel % groups;
    pixel /= groups;
    int each = C / groups, c = j % each, position = j / each, u = position / kw, v = position % kw;
    int h = (first + (int)(pixel / Wo)) * sh + u * dh - ph, w = (int)(pixel % Wo) * sw + v * dw - pw;
    out[i] = u < kh ? read(x, code, kept, n, h, w, group * each + c, H, W, C) : (real)0;
}
#endif

#ifdef SINK
// the results of rows from `first` on, in (rows, pitch, O), to the sink; they may be y's own rows.
// `rows` is even, or ends with the image, where the sink pools
extern "C" __global__ void finish_rows(const real* results, real* y, byte* code, const real* bias, int n,
                                       int first, int rows, int pitch, int H, int W, int O) {
    count_t i = THREAD;
    int o = i % O;
    count_t pixel = i / O;
#if POOLS
    int across = (W + 1) / 2, h = 2 * (int)(pixel / across), w = 2 * (int)(pixel % across);
    if (h >= rows) return;
    real window[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        int a = h + k / 2, b = w + k % 2;
        window[k] = a < rows && b < W ? results[((index_t)a * pitch + b) * O + o] : (real)0;
    }
    finish_window(window, y, code, bias, n, first + h, w, o, H, W, O);
#else
    int h = pixel / W, w = pixel % W;
    if (h >= rows) return;
    finish(results[((index_t)h * pitch + w) * O + o], y, code, bias, n, first + h, w, o, H, W, O);
#endif
}
#endif

#if !defined(SOURCE) && !defined(SINK)
// col2im: add columns (rows, Wo, groups, inner) of output rows from `first` on to the pixels that they were
// copied from, in the `count` rows of dx (N, H, W, C) from `top` on
extern "C" __global__ void add_columns(const real* columns, real* dx, int n, int top, int count, int first,
                                       int rows, int Wo, int H, int W, int C, int groups, int inner, int kh,
                                       int kw, int sh, int sw, int ph, int pw, int dh, int dw) {
    count_t i = THREAD;
    if (i >= (count_t)count * W * C) return;
    int c = i % C;
    count_t pixel = i / C;
    int h = top + (int)(pixel / W), w = pixel % W;
    int each = C / groups, group = c / each;
    real sum = 0;
    for (int u = 0; u < kh; ++u) {
        int down = h + ph - u * dh;
        if (down < 0 || down % sh || down / sh < first || down / sh >= first + rows) continue;
        for (int v = 0; v < kw; ++v) {
            int right = w + pw - v * dw;
            if (right < 0 || right % sw || right / sw >= Wo) continue;
            index_t row = (index_t)(down / sh - first) * Wo + right / sw;
            sum += columns[(row * groups + group) * inner + (u * kw + v) * each + c % each];
        }
    }
    dx[(((index_t)n * H + h) * W + w) * C + c] += sum;
}
#endif
