// y[row, slice i] += (x[row] A_i^T) B_i for a step's small groups of rows, each with its adapter's own weights.
//
// A decode step gives each adapter a few rows. Two library products for each adapter and slice then cost more in
// calls than in arithmetic, and one wide masked product multiplies mostly zeros; here one call does a whole layer,
// reads each weight once for up to four rows, and keeps sums in float32.
#include <cstdint>
#include <cstring>
#include <vector>

typedef float Floats __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));
constexpr int LANES = 16;
constexpr int BLOCK = 4;  // rows that share one reading of the weights

struct Bf16 { uint16_t bits; };

static inline Floats load(const float *p) { Floats v; std::memcpy(&v, p, sizeof v); return v; }
static inline Floats load(const Bf16 *p) {
    Halves h;
    std::memcpy(&h, p, sizeof h);
    return (Floats)(__builtin_convertvector(h, Words) << 16);
}
static inline void store(float *p, Floats v) { std::memcpy(p, &v, sizeof v); }
static inline void store(Bf16 *p, Floats v) {  // round to nearest even; a NaN stays one
    Words w = (Words)v;
    Words rounded = (w + 0x7fff + ((w >> 16) & 1)) >> 16;
    Words nan = (Words)(v != v);
    Halves h = __builtin_convertvector((rounded & ~nan) | (nan & 0x7fc0), Halves);
    std::memcpy(p, &h, sizeof h);
}
static inline float one(const float *p) { return *p; }
static inline float one(const Bf16 *p) {
    uint32_t w = (uint32_t)p->bits << 16;
    float f;
    std::memcpy(&f, &w, sizeof f);
    return f;
}
static inline void put(float *p, float f) { *p = f; }
static inline void put(Bf16 *p, float f) {
    uint32_t w;
    std::memcpy(&w, &f, sizeof w);
    p->bits = f != f ? 0x7fc0 : (uint16_t)((w + 0x7fff + ((w >> 16) & 1)) >> 16);
}
static inline float sum(Floats v) {
    float total = 0;
    for (int i = 0; i < LANES; i++) total += v[i];
    return total;
}

// t[n, j .. j+J) = x[n] . A[j .. j+J)
template <class T, int N, int J>
static inline void shrink(const float *x, int64_t in, const T *a, int64_t rank, int64_t j, float *t) {
    Floats acc[N][J] = {};
    int64_t k = 0;
    for (; k + LANES <= in; k += LANES)
        for (int i = 0; i < J; i++) {
            Floats w = load(a + (j + i) * in + k);
            for (int n = 0; n < N; n++) acc[n][i] += w * load(x + n * in + k);
        }
    for (int n = 0; n < N; n++)
        for (int i = 0; i < J; i++) {
            float total = sum(acc[n][i]);
            for (int64_t rest = k; rest < in; rest++) total += one(a + (j + i) * in + rest) * x[n * in + rest];
            t[n * rank + j + i] = total;
        }
}

// y[n, o .. o+16C) += t[n] B[:, o .. o+16C)
template <class T, int N, int C>
static inline void expand(T *const *y, const float *t, int64_t stride, const T *b, int64_t rank, int64_t width, int64_t o) {
    Floats acc[N][C];
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++) acc[n][c] = load(y[n] + o + c * LANES);
    for (int64_t j = 0; j < rank; j++)
        for (int c = 0; c < C; c++) {
            Floats w = load(b + j * width + o + c * LANES);
            for (int n = 0; n < N; n++) acc[n][c] += w * t[n * stride + j];
        }
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++) store(y[n] + o + c * LANES, acc[n][c]);
}

struct Slot {
    const void *a;          // (sum of ranks, in); null where the adapter does not touch the layer
    const void *b;          // for each slice (rank, width), one after another
    const int32_t *ranks;   // of each slice
};
struct Layer {
    const Slot *slots;
    const int32_t *widths;  // of each slice
    int32_t slices, in;
};
struct Step {
    const int32_t *slots;   // of each group
    const int32_t *starts;  // of each group in `rows`, and the end of the last
    const int32_t *rows;
    int32_t groups;
};

template <class T, int N>
static void block(const Layer &layer, const Slot &slot, T *const *y, const float *x, float *t) {
    const T *a = (const T *)slot.a, *b = (const T *)slot.b;
    int64_t rank = 0;
    for (int i = 0; i < layer.slices; i++) rank += slot.ranks[i];
    constexpr int J = N == 1 ? 4 : 2;
    int64_t j = 0;
    for (; j + J <= rank; j += J) shrink<T, N, J>(x, layer.in, a, rank, j, t);
    for (; j < rank; j++) shrink<T, N, 1>(x, layer.in, a, rank, j, t);
    int64_t column = 0, first = 0;
    constexpr int C = N <= 2 ? 4 : 2;
    for (int i = 0; i < layer.slices; i++) {
        int64_t width = layer.widths[i], own = slot.ranks[i], o = 0;
        T *out[N];
        for (int n = 0; n < N; n++) out[n] = y[n] + column;
        if (own) {
            for (; o + C * LANES <= width; o += C * LANES) expand<T, N, C>(out, t + first, rank, b, own, width, o);
            for (; o + LANES <= width; o += LANES) expand<T, N, 1>(out, t + first, rank, b, own, width, o);
            for (; o < width; o++)
                for (int n = 0; n < N; n++) {
                    float total = one(out[n] + o);
                    for (int64_t k = 0; k < own; k++) total += t[n * rank + first + k] * one(b + k * width + o);
                    put(out[n] + o, total);
                }
        }
        b += own * width;
        first += own;
        column += width;
    }
}

template <class T>
static void add(const Layer &layer, const Step &step, T *y, int64_t y_stride, const T *x, int64_t x_stride) {
    static thread_local std::vector<float> wide, t;
    for (int g = 0; g < step.groups; g++) {
        const Slot &slot = layer.slots[step.slots[g]];
        if (!slot.a) continue;
        int64_t rank = 0;
        for (int i = 0; i < layer.slices; i++) rank += slot.ranks[i];
        wide.resize((size_t)BLOCK * layer.in);
        t.resize((size_t)BLOCK * rank);
        for (int at = step.starts[g]; at < step.starts[g + 1]; at += BLOCK) {
            int count = step.starts[g + 1] - at < BLOCK ? step.starts[g + 1] - at : BLOCK;
            T *out[BLOCK];
            for (int n = 0; n < count; n++) {
                const T *row = x + step.rows[at + n] * x_stride;
                out[n] = y + step.rows[at + n] * y_stride;
                float *to = wide.data() + (size_t)n * layer.in;
                int64_t k = 0;
                for (; k + LANES <= layer.in; k += LANES) store(to + k, load(row + k));
                for (; k < layer.in; k++) to[k] = one(row + k);
            }
            switch (count) {
                case 1: block<T, 1>(layer, slot, out, wide.data(), t.data()); break;
                case 2: block<T, 2>(layer, slot, out, wide.data(), t.data()); break;
                case 3: block<T, 3>(layer, slot, out, wide.data(), t.data()); break;
                default: block<T, 4>(layer, slot, out, wide.data(), t.data());
            }
        }
    }
}

extern "C" void add_bf16(const Layer *layer, const Step *step, void *y, int64_t y_stride, const void *x, int64_t x_stride) {
    add<Bf16>(*layer, *step, (Bf16 *)y, y_stride, (const Bf16 *)x, x_stride);
}
extern "C" void add_f32(const Layer *layer, const Step *step, void *y, int64_t y_stride, const void *x, int64_t x_stride) {
    add<float>(*layer, *step, (float *)y, y_stride, (const float *)x, x_stride);
}
