// What the convolutions share: where their pixels come from (SOURCE) and where their results go (SINK).
//
// Arrays are (N, H, W, C), channels last, of REAL (float or double). A thread makes one number, or one tile of
// one channel; neighbours in a block are neighbours in channels, so that they read and write side by side.
// Nothing is shared between threads. Answers are those of nst_manual/kernels/fused.py, ties and NaN included.

typedef REAL real;
typedef unsigned char byte;
typedef unsigned int count_t;  // of threads
typedef long long index_t;      // of numbers in an array

// a launch has fewer than 2^31 threads: division of 32 bits is several times as fast as of 64
#define THREAD (blockIdx.x * blockDim.x + threadIdx.x)

// SOURCE: what a pixel of the convolution's input is made of
#define PIXELS 0          // x itself
#define MASKED 1          // x where code is 1                              the way back of ReLU, by its mask
#define POSITIVE 2        // x where kept > 0                               the same, by its output
#define MAX_UNPOOLED 3    // x (N, H / 2, W / 2, C) where code says the window's maximum was
#define AVG_UNPOOLED 4    // x / 4 at all four pixels
#define AVG_MASKED 5      // x / 4 where code (N, H, W, C) is 1

#ifdef SOURCE
__device__ __forceinline__ index_t place(int n, int h, int w, int c, int H, int W, int C) {
    return (((index_t)n * H + h) * W + w) * C + c;
}

__device__ __forceinline__ real read(const real* x, const byte* code, const real* kept,
                                     int n, int h, int w, int c, int H, int W, int C) {
    if (h < 0 || h >= H || w < 0 || w >= W) return 0;  // the border
#if SOURCE == PIXELS
    return x[place(n, h, w, c, H, W, C)];
#elif SOURCE == MASKED
    index_t i = place(n, h, w, c, H, W, C);
    return code[i] ? x[i] : (real)0;
#elif SOURCE == POSITIVE
    index_t i = place(n, h, w, c, H, W, C);
    return kept[i] > 0 ? x[i] : (real)0;
#else
    int down = H / 2, across = W / 2;
    if (h / 2 >= down || w / 2 >= across) return 0;  // a last row or column without a window
    index_t i = place(n, h / 2, w / 2, c, down, across, C);
#if SOURCE == MAX_UNPOOLED
    return code[i] == 2 * (h % 2) + w % 2 ? x[i] : (real)0;
#elif SOURCE == AVG_UNPOOLED
    return x[i] / 4;
#elif SOURCE == AVG_MASKED
    return code[place(n, h, w, c, H, W, C)] ? x[i] / 4 : (real)0;
#endif
#endif
}
#endif

// SINK: what becomes of a result v of the convolution, with the bias added (BIAS is 1 where there is one)
#define PLAIN 0           // y = v
#define RELU 1            // y = max(0, v)
#define RELU_MASK 2       // the same, and code = v > 0
#define MAX_POOL 3        // y = maximum of a 2 x 2 window, code = where it was
#define RELU_MAX_POOL 4   // the same of max(0, v); code = NO_WINNER where no value is positive
#define AVG_POOL 5        // y = average of a 2 x 2 window
#define RELU_AVG_POOL 6   // the same of max(0, v), and code (N, H, W, O) = v > 0
#define NO_WINNER 4

#ifdef SINK
#define POOLS (SINK >= MAX_POOL)
#define RECTIFIES (SINK == RELU || SINK == RELU_MASK || SINK == RELU_MAX_POOL || SINK == RELU_AVG_POOL)

__device__ __forceinline__ real finished(real v, const real* bias, int o) {
#if BIAS
    v += bias[o];
#endif
#if RECTIFIES
    v = v <= 0 ? (real)0 : v;  // NaN stays
#endif
    return v;
}

#if !POOLS || SINK == RELU_AVG_POOL
// the result at one pixel
__device__ __forceinline__ void finish(real v, real* y, byte* code, const real* bias,
                                       int n, int h, int w, int o, int H, int W, int O) {
    if (h >= H || w >= W) return;
    index_t i = (((index_t)n * H + h) * W + w) * O + o;
    v = finished(v, bias, o);
#if SINK == RELU_MASK || SINK == RELU_AVG_POOL
    code[i] = v > 0;
#endif
#if !POOLS
    y[i] = v;
#endif
}
#endif

#if POOLS
// whether b wins over a: being larger, or NaN
__device__ __forceinline__ bool wins(real b, real a) {
    return b > a || b != b;
}

// the results at the four pixels of the window whose first one is (h, w): v[0] v[1] over v[2] v[3]
__device__ __forceinline__ void finish_window(const real* v, real* y, byte* code, const real* bias,
                                              int n, int h, int w, int o, int H, int W, int O) {
#if SINK == RELU_AVG_POOL
    for (int k = 0; k < 4; ++k) finish(v[k], y, code, bias, n, h + k / 2, w + k % 2, o, H, W, O);
#endif
    int down = H / 2, across = W / 2;
    if (h / 2 >= down || w / 2 >= across) return;
    index_t i = (((index_t)n * down + h / 2) * across + w / 2) * O + o;
    real a = finished(v[0], bias, o), b = finished(v[1], bias, o);
    real c = finished(v[2], bias, o), d = finished(v[3], bias, o);
#if SINK == AVG_POOL || SINK == RELU_AVG_POOL
    y[i] = (a + b + c + d) / 4;
#else
    bool second = wins(b, a), fourth = wins(d, c);
    real upper = second ? b : a, lower = fourth ? d : c;
    bool below = wins(lower, upper);
    real most = below ? lower : upper;
    byte winner = below ? 2 + fourth : second;
#if SINK == RELU_MAX_POOL
    winner = most > 0 ? winner : NO_WINNER;
#endif
    y[i] = most;
    code[i] = winner;
#endif
}
#endif
#endif
