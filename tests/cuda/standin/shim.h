// CUDA C++ for g++: a kernel is a function that is called once for each thread, one after the other.
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <string>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#ifndef __restrict__
#define __restrict__ __restrict
#endif
#define __launch_bounds__(...)
#define __CUDACC__ 1
#define __CUDA_ARCH__ 900
#define __align__(n) __attribute__((aligned(n)))

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };
static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
static const int warpSize = 32;

#define VECTOR2(T, N, A) struct __align__(A) N { T x, y; }; static inline N make_##N(T x, T y) { return {x, y}; }
#define VECTOR3(T, N) struct N { T x, y, z; }; static inline N make_##N(T x, T y, T z) { return {x, y, z}; }
#define VECTOR4(T, N, A)              \
    struct __align__(A) N { T x, y, z, w; }; \
    static inline N make_##N(T x, T y, T z, T w) { return {x, y, z, w}; }
VECTOR2(float, float2, 8) VECTOR3(float, float3) VECTOR4(float, float4, 16)
VECTOR2(double, double2, 16) VECTOR3(double, double3) VECTOR4(double, double4, 16)
VECTOR2(int, int2, 8) VECTOR3(int, int3) VECTOR4(int, int4, 16)
VECTOR2(unsigned, uint2, 8) VECTOR4(unsigned, uint4, 16)
VECTOR2(unsigned char, uchar2, 2) VECTOR4(unsigned char, uchar4, 4)
VECTOR2(long long, longlong2, 16)

#define MINMAX(T)                                                   \
    static inline T min(T a, T b) { return b < a ? b : a; }         \
    static inline T max(T a, T b) { return a < b ? b : a; }
MINMAX(int) MINMAX(unsigned) MINMAX(long) MINMAX(unsigned long) MINMAX(long long) MINMAX(unsigned long long)
// Of a number and a NaN, CUDA's give the number.
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }
static inline double min(float a, double b) { return fmin(a, b); }
static inline double max(float a, double b) { return fmax(a, b); }
static inline double min(double a, float b) { return fmin(a, b); }
static inline double max(double a, float b) { return fmax(a, b); }

static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }
static inline float rsqrt(float x) { return rsqrtf(x); }
static inline double rcbrt(double x) { return 1.0 / cbrt(x); }
static inline float rcbrtf(float x) { return 1.0f / cbrtf(x); }
static inline float __fdividef(float a, float b) { return a / b; }
#define __expf expf  // glibc has functions of these names already
#define __logf logf
#define __powf powf
static inline float __saturatef(float x) { return fminf(fmaxf(x, 0.0f), 1.0f); }
static inline float __frsqrt_rn(float x) { return rsqrtf(x); }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __frcp_rn(float a) { return 1.0f / a; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
template <class To, class From> static inline To standin_bits(From x) {
    static_assert(sizeof(To) == sizeof(From), "sizes");
    To y;
    memcpy(&y, &x, sizeof y);
    return y;
}
static inline int __float_as_int(float x) { return standin_bits<int>(x); }
static inline unsigned __float_as_uint(float x) { return standin_bits<unsigned>(x); }
static inline float __int_as_float(int x) { return standin_bits<float>(x); }
static inline float __uint_as_float(unsigned x) { return standin_bits<float>(x); }
static inline long long __double_as_longlong(double x) { return standin_bits<long long>(x); }
static inline double __longlong_as_double(long long x) { return standin_bits<double>(x); }
static inline int __float2int_rn(float x) { return (int)rintf(x); }
static inline int __float2int_rd(float x) { return (int)floorf(x); }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline int __mul24(int a, int b) { return a * b; }
template <class T> static inline T __ldg(const T *p) { return *p; }
template <class T> static inline T __ldcs(const T *p) { return *p; }
template <class T> static inline void __stcs(T *p, T x) { *p = x; }
template <class T> static inline T atomicAdd(T *p, T x) { T old = *p; *p = old + x; return old; }
template <class T> static inline T atomicMax(T *p, T x) { T old = *p; if (x > old) *p = x; return old; }
template <class T> static inline T atomicMin(T *p, T x) { T old = *p; if (x < old) *p = x; return old; }
template <class T> static inline T atomicExch(T *p, T x) { T old = *p; *p = x; return old; }
template <class T> static inline T atomicOr(T *p, T x) { T old = *p; *p = old | x; return old; }
template <class T> static inline T atomicCAS(T *p, T c, T x) { T old = *p; if (old == c) *p = x; return old; }
static inline void __threadfence() {}

namespace standin {
template <class T> struct Code {
    static std::string text() {
        using U = typename std::remove_cv<T>::type;
        if (std::is_same<U, bool>::value) return "b1";
        const char *kind = std::is_floating_point<U>::value ? "f" : !std::is_integral<U>::value ? "s"
                           : std::is_signed<U>::value       ? "i" : "u";
        return kind + std::to_string(sizeof(U));
    }
};
template <> struct Code<void> { static std::string text() { return "v"; } };
template <> struct Code<const void> { static std::string text() { return "v"; } };
template <class T> struct Code<T *> {
    static std::string text() { return "P" + Code<typename std::remove_cv<T>::type>::text(); }
};
#define CODE(N, T, K) template <> struct Code<N> { static std::string text() { return T "x" #K; } };
CODE(float2, "f4", 2) CODE(float3, "f4", 3) CODE(float4, "f4", 4)
CODE(double2, "f8", 2) CODE(double3, "f8", 3) CODE(double4, "f8", 4)
CODE(int2, "i4", 2) CODE(int3, "i4", 3) CODE(int4, "i4", 4) CODE(uint2, "u4", 2) CODE(uint4, "u4", 4)
CODE(uchar2, "u1", 2) CODE(uchar4, "u1", 4) CODE(longlong2, "i8", 2)

template <auto F> struct Kernel;
template <class... A, void (*F)(A...)> struct Kernel<F> {
    static const char *signature() {
        static std::string text = ((Code<A>::text() + " ") + ... + std::string());
        return text.c_str();
    }
    template <size_t... I> static void call(void **args, std::index_sequence<I...>) {
        F(*(typename std::remove_cv<A>::type *)args[I]...);
    }
    static void launch(void **args, const unsigned *grid, const unsigned *block) {
        gridDim.x = grid[0], gridDim.y = grid[1], gridDim.z = grid[2];
        blockDim.x = block[0], blockDim.y = block[1], blockDim.z = block[2];
        for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z)
            for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y)
                for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x)
                    for (threadIdx.z = 0; threadIdx.z < block[2]; ++threadIdx.z)
                        for (threadIdx.y = 0; threadIdx.y < block[1]; ++threadIdx.y)
                            for (threadIdx.x = 0; threadIdx.x < block[0]; ++threadIdx.x)
                                call(args, std::index_sequence_for<A...>());
    }
};
}  // namespace standin
#define STANDIN_EXPORT extern "C" __attribute__((visibility("default")))

// NVRTC includes no headers: what they would bring is not there on the GPU.
#undef INFINITY
#undef NAN
#undef M_PI
#undef HUGE_VAL
#undef FLT_MAX
#undef DBL_MAX
#define int8_t standin_nvrtc_has_no_int8_t
#define int16_t standin_nvrtc_has_no_int16_t
#define int32_t standin_nvrtc_has_no_int32_t
#define int64_t standin_nvrtc_has_no_int64_t
#define uint8_t standin_nvrtc_has_no_uint8_t
#define uint16_t standin_nvrtc_has_no_uint16_t
#define uint32_t standin_nvrtc_has_no_uint32_t
#define uint64_t standin_nvrtc_has_no_uint64_t
#define std standin_nvrtc_has_no_std
