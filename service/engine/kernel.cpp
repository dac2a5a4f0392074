// y[row, slice i] += (x[row] A_i^T) B_i for a step's groups of rows, each with its adapter's own weights.
//
// A decode step gives each adapter a few rows. Library products for each adapter and slice then cost more in calls and
// copies than in arithmetic; here one call does a whole layer. Both products are the same one: rows times panels of
// LANES columns that lie one after another, so that weights are read once and in order. Sums are kept in float32.
// Where rows are few, reading the weights is what takes the time: they may be bfloat16 under float32 rows.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>
#ifdef __AVX2__
#include <immintrin.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#endif

#ifdef __AVX512F__
constexpr int LANES = 16, SUMS = 24;  // SUMS: vectors of sums that the registers hold beside what they are made from
#else
constexpr int LANES = 8, SUMS = 12;
#endif
constexpr int ROWS = 4;               // that share one reading of the weights
constexpr int PANELS = 12, CHUNK = 64; // panels and rows of one piece of work
constexpr int64_t WORTH = 1 << 17;    // multiplications for which it is worth waking another thread

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));
struct Bf16 { uint16_t bits; };

static inline Floats load(const float *p) { Floats v; std::memcpy(&v, p, sizeof v); return v; }
static inline Words widened(const Bf16 *p) {  // GCC makes five instructions of a conversion that the processor has as one
#if defined(__AVX512F__)
    return (Words)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
#elif defined(__AVX2__)
    return (Words)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
#else
    Halves h;
    std::memcpy(&h, p, sizeof h);
    return __builtin_convertvector(h, Words);
#endif
}
static inline Floats load(const Bf16 *p) { return (Floats)(widened(p) << 16); }
static inline void store(float *p, Floats v) { std::memcpy(p, &v, sizeof v); }
static inline void store(Bf16 *p, Floats v) {  // round to nearest even; a NaN stays one
    Words w = (Words)v;
    Words rounded = (w + 0x7fff + ((w >> 16) & 1)) >> 16;
    Words nan = (Words)(v != v);
    Halves h = __builtin_convertvector((rounded & ~nan) | (nan & 0x7fc0), Halves);
    std::memcpy(p, &h, sizeof h);
}

struct Slot {
    const void *a;         // panels of (in, LANES) that hold the sum of ranks; null where the adapter does not touch the layer
    const void *b;         // slice by slice, panels of (rank, LANES) that hold its width
    const int32_t *ranks;  // of each slice
    int32_t narrow;        // whether both are bfloat16; else float32
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
struct Piece {             // some rows of a group by some panels of one matrix
    const void *weights;   // the first panel
    bool narrow;           // as the slot's
    int32_t from, to;      // in the step's rows
    int32_t depth, panels;
    int32_t input;         // the first column read of each row
    int32_t output, width; // the first column written, and how many
};

// out(n, g, row n . panel g)
template <class W, int N, int G, class Out>
static inline void product(const float *const *rows, int64_t depth, const W *weights, const Out &out) {
    Floats sums[N][G] = {};
    for (int64_t k = 0; k < depth; k++) {
        for (int g = 0; g < G; g++) {
            Floats panel = load(weights + (g * depth + k) * LANES);
            for (int n = 0; n < N; n++) sums[n][g] += rows[n][k] * panel;
        }
    }
    for (int n = 0; n < N; n++)
        for (int g = 0; g < G; g++) out(n, g, sums[n][g]);
}

// G panels at a time, what is left by fewer
template <class W, int N, int G, class Out>
static inline void across(const float *const *rows, int64_t depth, const W *weights, int panels, const Out &out, int done = 0) {
    for (; done + G <= panels; done += G)
        product<W, N, G>(rows, depth, weights + done * depth * LANES, [&](int n, int g, Floats v) { out(n, done + g, v); });
    if constexpr (G > 1)
        if (done < panels) across<W, N, G / 2>(rows, depth, weights, panels, out, done);
}
template <class W, int N, class Out>
static inline void block(const float *const *rows, const Piece &piece, const Out &out) {
    across<W, N, std::min(PANELS, SUMS / N)>(rows, piece.depth, (const W *)piece.weights, piece.panels, out);
}
template <class W, class Out>
static inline void blocks_of(const float *const *rows, int count, const Piece &piece, const Out &out) {
    switch (count) {
        case 1: return block<W, 1>(rows, piece, out);
        case 2: return block<W, 2>(rows, piece, out);
        case 3: return block<W, 3>(rows, piece, out);
        default: block<W, 4>(rows, piece, out);
    }
}
template <class Out>
static inline void blocks(const float *const *rows, int count, const Piece &piece, const Out &out) {
    piece.narrow ? blocks_of<Bf16>(rows, count, piece, out) : blocks_of<float>(rows, count, piece, out);
}

static inline const float *wide(const float *row, int64_t, float *) { return row; }
static inline const float *wide(const Bf16 *row, int64_t count, float *to) {
    int64_t k = 0;
    for (; k + LANES <= count; k += LANES) store(to + k, load(row + k));
    for (; k < count; k++) {
        uint32_t word = (uint32_t)row[k].bits << 16;
        std::memcpy(to + k, &word, sizeof word);
    }
    return to;
}

template <class T>
static void shrink(const Piece &piece, const Step &step, const T *x, int64_t x_stride, float *t, int64_t t_stride) {
    static thread_local std::vector<float> buffer;
    buffer.resize(ROWS * piece.depth);
    const float *rows[ROWS];
    for (int at = piece.from; at < piece.to; at += ROWS) {
        int count = std::min(ROWS, piece.to - at);
        for (int n = 0; n < count; n++)
            rows[n] = wide(x + step.rows[at + n] * x_stride, piece.depth, buffer.data() + n * piece.depth);
        blocks(rows, count, piece, [&](int n, int panel, Floats v) {
            store(t + (at + n) * t_stride + piece.output + panel * LANES, v);
        });
    }
}

template <class T>
static void expand(const Piece &piece, const Step &step, T *y, int64_t y_stride, const float *t, int64_t t_stride) {
    const float *rows[ROWS];
    T *to[ROWS];
    for (int at = piece.from; at < piece.to; at += ROWS) {
        int count = std::min(ROWS, piece.to - at);
        for (int n = 0; n < count; n++) {
            rows[n] = t + (at + n) * t_stride + piece.input;
            to[n] = y + step.rows[at + n] * y_stride + piece.output;
        }
        blocks(rows, count, piece, [&](int n, int panel, Floats v) {
            T *out = to[n] + panel * LANES;
            int left = piece.width - panel * LANES;
            if (__builtin_expect(left >= LANES, 1)) return store(out, load(out) + v);
            T last[LANES] = {};  // the slice ends within the panel
            std::memcpy(last, out, left * sizeof(T));
            store(last, load(last) + v);
            std::memcpy(out, last, left * sizeof(T));
        });
    }
}

// Cuts rows from .. to by the panels of a matrix into pieces; where its panels end.
static const char *cut(std::vector<Piece> &pieces, const char *weights, bool narrow, int from, int to, int depth, int input,
                       int output, int width) {
    int panels = (width + LANES - 1) / LANES;
    int64_t panel = (int64_t)depth * LANES * (narrow ? sizeof(Bf16) : sizeof(float));
    for (int at = from; at < to; at += CHUNK)
        for (int p = 0; p < panels; p += PANELS)
            pieces.push_back({weights + p * panel, narrow, at, std::min(at + CHUNK, to), depth, std::min(PANELS, panels - p), input,
                              output + p * LANES, width - p * LANES});
    return weights + panels * panel;
}

template <class T>
static void add(const Layer &layer, const Step &step, T *y, int64_t y_stride, const T *x, int64_t x_stride) {
    static thread_local std::vector<Piece> own_first, own_second;
    static thread_local std::vector<float> own_t;
    std::vector<Piece> &first = own_first, &second = own_second;  // the other threads' are others
    first.clear();
    second.clear();
    int64_t t_stride = 0, work = 0, out = 0;
    for (int i = 0; i < layer.slices; i++) out += layer.widths[i];
    for (int g = 0; g < step.groups; g++) {
        const Slot &slot = layer.slots[step.slots[g]];
        if (!slot.a) continue;
        int from = step.starts[g], to = step.starts[g + 1], rank = 0, column = 0;
        const char *b = (const char *)slot.b;
        for (int i = 0; i < layer.slices; i++) {
            int own = slot.ranks[i], width = layer.widths[i];
            if (own) b = cut(second, b, slot.narrow, from, to, own, rank, column, width);
            rank += own;
            column += width;
        }
        cut(first, (const char *)slot.a, slot.narrow, from, to, layer.in, 0, 0, rank);
        t_stride = std::max<int64_t>(t_stride, (rank + LANES - 1) / LANES * LANES);
        work += (int64_t)(to - from) * rank * (layer.in + out / layer.slices);
    }
    if (first.empty()) return;
    own_t.resize(step.starts[step.groups] * t_stride);
    float *t = own_t.data();
    int64_t ones = first.size(), twos = second.size();
#ifdef _OPENMP
    int threads = (int)std::min<int64_t>(omp_get_max_threads(), 1 + work / WORTH);
#pragma omp parallel num_threads(threads)
#endif
    {
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < ones; i++) shrink(first[i], step, x, x_stride, t, t_stride);
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < twos; i++) expand(second[i], step, y, y_stride, t, t_stride);
    }
}

static inline float wide(float x) { return x; }
static inline float wide(Bf16 x) {
    uint32_t word = (uint32_t)x.bits << 16;
    float f;
    std::memcpy(&f, &word, sizeof f);
    return f;
}

// Columns first .. first + columns of the panels in `to` become the rows of (columns, depth), times `scale`; the others stay.
template <class T, class U>
static void lay_out(T *to, const U *from, int64_t first, int64_t columns, int64_t depth, float scale) {
    for (int64_t column = 0; column < columns;) {
        int64_t lane = (first + column) % LANES, count = std::min(LANES - lane, columns - column);
        T *panel = to + (first + column) / LANES * LANES * depth;
        const U *row = from + column * depth;
        for (int64_t k = 0; k < depth; k++) {
            Floats v = load(panel + k * LANES);
            for (int64_t n = 0; n < count; n++) v[lane + n] = scale * wide(row[n * depth + k]);
            store(panel + k * LANES, v);
        }
        column += count;
    }
}

extern "C" int lanes() { return LANES; }
#define LAY_OUT(name, T, U)                                                                                                 \
    extern "C" void name(void *to, const void *from, int64_t first, int64_t columns, int64_t depth, float scale) {          \
        lay_out((T *)to, (const U *)from, first, columns, depth, scale);                                                    \
    }
LAY_OUT(f32_of_f32, float, float)
LAY_OUT(f32_of_bf16, float, Bf16)
LAY_OUT(bf16_of_f32, Bf16, float)
LAY_OUT(bf16_of_bf16, Bf16, Bf16)
extern "C" void add_bf16(const Layer *layer, const Step *step, void *y, int64_t y_stride, const void *x, int64_t x_stride) {
    add<Bf16>(*layer, *step, (Bf16 *)y, y_stride, (const Bf16 *)x, x_stride);
}
extern "C" void add_f32(const Layer *layer, const Step *step, void *y, int64_t y_stride, const void *x, int64_t x_stride) {
    add<float>(*layer, *step, (float *)y, y_stride, (const float *)x, x_stride);
}
