// What CuPy's generated kernels know: arrays with strides, and places in a loop.
namespace standin {
template <class T> struct CArray {
    char *data;
    long long ndim, count;
    const long long *sizes, *steps;
    bool plain;
    int *bad;
    CArray(void *pointer, const long long *&info, int *bad) : data((char *)pointer), bad(bad) {
        ndim = *info++, count = *info++;
        sizes = info, steps = info + ndim, info += 2 * ndim;
        long long step = sizeof(T);
        plain = true;
        for (long long k = ndim; k--;) {
            plain = plain && (sizes[k] == 1 || steps[k] == step);
            step *= sizes[k];
        }
    }
    long long size() const { return count; }
    const long long *shape() const { return sizes; }
    const long long *strides() const { return steps; }
    T &outside() const {
        static T nothing;
        *bad = 1;
        return nothing = T();
    }
    T &operator[](ptrdiff_t place) const {
        if (place < 0 || place >= count) return outside();
        if (plain) return ((T *)data)[place];
        ptrdiff_t offset = 0;
        for (long long k = ndim; k--;) offset += place % sizes[k] * steps[k], place /= sizes[k];
        return *(T *)(data + offset);
    }
    template <class I, size_t N> T &operator[](const I (&places)[N]) const {
        ptrdiff_t offset = 0;
        if ((long long)N != ndim) return outside();
        for (size_t k = 0; k < N; ++k) {
            if (places[k] < 0 || places[k] >= sizes[k]) return outside();
            offset += places[k] * steps[k];
        }
        return *(T *)(data + offset);
    }
};

struct Indexer {
    long long count, ndim;
    const long long *sizes;
    ptrdiff_t index[32];
    Indexer(long long count, long long ndim, const long long *sizes) : count(count), ndim(ndim), sizes(sizes) {}
    long long size() const { return count; }
    const long long *shape() const { return sizes; }
    const ptrdiff_t *get() const { return index; }
    void set(ptrdiff_t place) {
        for (long long k = ndim; k--;) index[k] = place % sizes[k], place /= sizes[k];
    }
};

// Goes through an array in C order.
struct Walk {
    long long ndim;
    const long long *sizes;
    ptrdiff_t place = 0, index[32] = {};
    Walk(long long ndim, const long long *sizes) : ndim(ndim), sizes(sizes) {}
    void next() {
        ++place;
        for (long long k = ndim; k-- && ++index[k] == sizes[k];) index[k] = 0;
    }
    ptrdiff_t offset(const long long *strides) const {
        ptrdiff_t sum = 0;
        for (long long k = 0; k < ndim; ++k) sum += index[k] * strides[k];
        return sum;
    }
};
}  // namespace standin
