// y[row, slice i] += (x[row] A_i^T) B_i for a step's groups of rows, each with its adapter's own weights.
//
// A decode step gives each adapter a few rows. Library products for each adapter and slice then cost more in calls and
// copies than in arithmetic; here one call does a whole layer. Both products are the same one: rows times panels of
// LANES columns, BLOCK of which lie side by side and are read together, so that weights are read once and in order. Sums are kept in float32.
// Where rows are few, reading the weights is what takes the time: they may be bfloat16 under float32 rows. In bfloat16 two
// weights that follow one another in depth lie side by side, as the processor's own products of pairs take them.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>
#ifdef __AVX2__
#include <immintrin.h>
#endif
#if defined(__AVX512F__) && defined(__AVX512BF16__)
#define HAS_PAIRS  // products of pairs of bfloat16, summed in float32
#endif
#ifdef _OPENMP
#include <omp.h>
#endif

#ifdef __AVX512F__
constexpr int LANES = 16, SUMS = 24;  // SUMS: vectors of sums that the registers hold beside what they are made from
#else
constexpr int LANES = 8, SUMS = 12;
#endif
constexpr int ROWS = 4, MORE = 8;     // that share one reading of the weights; MORE where there are few
constexpr int AHEAD = 8;              // rows between the one that is written and those that are fetched
constexpr int BLOCK = 6;              // panels side by side
constexpr int PANELS = 2 * BLOCK, CHUNK = 64; // panels and rows of one piece of work
constexpr int WAVE = 256;              // rows that are dealt with before the next ones
constexpr int64_t STRETCH = 32;       // steps through the depth that are laid out before the next: what they are written to stays near
constexpr int64_t WORTH = 1 << 17;    // multiplications for which it is worth waking another thread

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));
struct Bf16 { uint16_t bits; };
struct Half { uint16_t bits; };  // IEEE's 16 bits
struct Pair { Bf16 even, odd; };  // of one column, at depths 2 k and 2 k + 1
#ifdef HAS_PAIRS
template <class T> using Row = T;  // what a row of T's is multiplied as
#else
template <class T> using Row = float;
#endif

static inline float wide(float x) { return x; }
static inline float wide(Bf16 x) {
    uint32_t word = (uint32_t)x.bits << 16;
    float f;
    std::memcpy(&f, &word, sizeof f);
    return f;
}
static inline float wide(Half x) {
    uint32_t sign = (uint32_t)(x.bits & 0x8000) << 16, rest = (uint32_t)(x.bits & 0x7fff) << 13, word;
    float f;
    if (x.bits & 0x7c00) word = rest + (((x.bits & 0x7c00) == 0x7c00) ? 0x70000000 : 0x38000000);
    else f = (float)(x.bits & 0x3ff) * 0x1p-24f, std::memcpy(&word, &f, sizeof f);  // zero, or less than the smallest normal one
    word |= sign;
    std::memcpy(&f, &word, sizeof f);
    return f;
}
static inline Words rounded(Floats v) {  // to the nearest even bfloat16, in the upper halves; a NaN stays one
    Words w = (Words)v, nan = (Words)(v != v);
    return (((w + 0x7fff + ((w >> 16) & 1)) & ~nan) | (nan & 0x7fc00000)) & 0xffff0000;
}

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
static inline void store(Bf16 *p, Floats v) {
#ifdef HAS_PAIRS
    __m256bh h = _mm512_cvtneps_pbh((__m512)v);
#else
    Halves h = __builtin_convertvector(rounded(v) >> 16, Halves);
#endif
    std::memcpy(p, &h, sizeof h);
}

struct Slot {
    const void *a;         // blocks of (in, BLOCK panels, LANES) that hold the sum of ranks; null where the adapter does not touch the layer
    const void *b;         // slice by slice, blocks of (rank, BLOCK panels, LANES) that hold its width; the last block has fewer panels
    const int32_t *ranks;  // of each slice, even
    int32_t narrow;        // whether both are bfloat16, in pairs at half the depth; else float32. Under bfloat16 rows they are
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

// A panel's weights at one step through its depth, and what rows make of them.
struct Two { Floats even, odd; };
static inline int64_t steps(const float *, int64_t depth) { return depth; }
static inline int64_t steps(const Pair *, int64_t depth) { return (depth + 1) / 2; }
static inline Floats weights_for(const float *, const float *panel) { return load(panel); }
static inline Two weights_for(const float *, const Pair *panel) {
    Words w;
    std::memcpy(&w, panel, sizeof w);
    return {(Floats)(w << 16), (Floats)(w & 0xffff0000)};
}
static inline void multiply(Floats &sum, const float *row, int64_t k, Floats panel) { sum += row[k] * panel; }
static inline void multiply(Floats &sum, const float *row, int64_t k, const Two &panel) {
    sum += row[2 * k] * panel.even;
    sum += row[2 * k + 1] * panel.odd;
}
#ifdef HAS_PAIRS
static inline __m512bh weights_for(const Bf16 *, const Pair *panel) { return (__m512bh)_mm512_loadu_si512(panel); }
static inline void multiply(Floats &sum, const Bf16 *row, int64_t k, __m512bh panel) {
    int32_t pair;
    std::memcpy(&pair, row + 2 * k, sizeof pair);
    sum = (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(pair), panel);
}
#endif

// out(n, g, row n . panel g) of panels; `stride` from step to step. Unrolled by order, and a function of its own: else GCC keeps
// sums in memory, or shuffles them between registers.
template <int N, int G, class R, class W, class Out>
static __attribute__((noinline)) void product(const R *const *rows, int64_t depth, const W *weights, int64_t stride, const Out &out) {
    Floats sums[N][G];
#pragma GCC unroll 24
    for (int n = 0; n < N; n++)
#pragma GCC unroll 24
        for (int g = 0; g < G; g++) sums[n][g] = Floats{};
    for (int64_t k = 0; k < depth; k++) {
#pragma GCC unroll 24
        for (int g = 0; g < G; g++) {
            auto panel = weights_for(rows[0], weights + k * stride + g * LANES);
#pragma GCC unroll 24
            for (int n = 0; n < N; n++) multiply(sums[n][g], rows[n], k, panel);
        }
    }
#pragma GCC unroll 24
    for (int n = 0; n < N; n++)
#pragma GCC unroll 24
        for (int g = 0; g < G; g++) out(n, g, sums[n][g]);
}

// As many of `left` panels as there are, at most G; how many that was
template <int N, int G, class R, class W, class Out>
static inline int part(const R *const *rows, int64_t depth, const W *weights, int64_t stride, int left, const Out &out) {
    if constexpr (G > 1)
        if (left < G) return part<N, G - 1>(rows, depth, weights, stride, left, out);
    product<N, G>(rows, depth, weights, stride, out);
    return G;
}
template <int N, class R, class W, class Out>
static inline void block(const R *const *rows, const Piece &piece, const W *weights, const Out &out) {
    int64_t depth = steps(weights, piece.depth);
    for (int first = 0; first < piece.panels; first += BLOCK) {
        int side = std::min(BLOCK, piece.panels - first);
        const W *start = weights + first * depth * LANES;
        for (int at = 0; at < side;)
            at += part<N, std::min(BLOCK, SUMS / N)>(rows, depth, start + at * LANES, side * LANES, side - at,
                                                     [&](int n, int g, Floats v) { out(n, first + at + g, v); });
    }
}
template <class R, class W, class Out>
static inline void blocks_of(const R *const *rows, int count, const Piece &piece, const W *weights, const Out &out) {
    switch (count) {
        case 1: return block<1>(rows, piece, weights, out);
        case 2: return block<2>(rows, piece, weights, out);
        case 3: return block<3>(rows, piece, weights, out);
        case ROWS: return block<ROWS>(rows, piece, weights, out);
        default: block<MORE>(rows, piece, weights, out);
    }
}
template <class Out>
static inline void blocks(const float *const *rows, int count, const Piece &piece, const Out &out) {
    piece.narrow ? blocks_of(rows, count, piece, (const Pair *)piece.weights, out)
                 : blocks_of(rows, count, piece, (const float *)piece.weights, out);
}
template <class Out>
static inline void blocks(const Bf16 *const *rows, int count, const Piece &piece, const Out &out) {
    blocks_of(rows, count, piece, (const Pair *)piece.weights, out);
}

// How many rows go together: more by few panels, for sums that do not wait for one another.
static inline int together(const Piece &piece, int left) {
    return left >= MORE && piece.panels * MORE <= SUMS ? MORE : std::min(ROWS, left);
}

// A row as it is multiplied: itself where it can be, else in `to`, which ends with a zero for a pair that is not whole.
template <class T, class R>
static inline const R *ready(const T *row, int64_t count, R *to) {
    if constexpr (std::is_same_v<T, R>) {
        if (count % 2 == 0) return row;
        std::memcpy(to, row, count * sizeof(T));
    } else {
        int64_t k = 0;
        for (; k + LANES <= count; k += LANES) store(to + k, load(row + k));
        for (; k < count; k++) to[k] = wide(row[k]);
    }
    to[count] = R{};
    return to;
}

template <class T, class R>
static void shrink(const Piece &piece, const Step &step, const T *x, int64_t x_stride, R *t, int64_t t_stride, int t_from) {
    static thread_local std::vector<R> buffer;
    buffer.resize(MORE * (piece.depth + 1));
    const R *rows[MORE];
    for (int at = piece.from, count; at < piece.to; at += count) {
        count = together(piece, piece.to - at);
        for (int n = 0; n < count; n++)
            rows[n] = ready(x + step.rows[at + n] * x_stride, piece.depth, buffer.data() + n * (piece.depth + 1));
        blocks(rows, count, piece, [&](int n, int panel, Floats v) {
            store(t + (at + n - t_from) * t_stride + piece.output + panel * LANES, v);
        });
    }
}

// Rows are far apart, and no processor guesses that the next ones will be written soon. GCC drops a call of this, as one without effect.
template <class T>
static __attribute__((always_inline)) inline void fetch(const Piece &piece, const Step &step, int from, int count, const T *y, int64_t y_stride) {
    int64_t bytes = std::min(piece.panels * LANES, piece.width) * sizeof(T);
    for (int at = from; at < std::min(from + count, piece.to); at++) {
        const char *row = (const char *)(y + step.rows[at] * y_stride + piece.output);
        for (int64_t byte = 0; byte < bytes; byte += 64) __builtin_prefetch(row + byte, 1);
    }
}

template <class T, class R>
static void expand(const Piece &piece, const Step &step, T *y, int64_t y_stride, const R *t, int64_t t_stride, int t_from) {
    const R *rows[MORE];
    T *to[MORE];
    for (int at = piece.from, count; at < piece.to; at += count) {
        count = together(piece, piece.to - at);
        for (int n = 0; n < count; n++) {
            rows[n] = t + (at + n - t_from) * t_stride + piece.input;
            to[n] = y + step.rows[at + n] * y_stride + piece.output;
        }
        fetch(piece, step, at + AHEAD, count, y, y_stride);
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
    int64_t panel = LANES * (narrow ? steps((const Pair *)weights, depth) * sizeof(Pair) : depth * sizeof(float));
    for (int at = from; at < to; at += CHUNK)
        for (int p = 0; p < panels; p += PANELS)
            pieces.push_back({weights + p * panel, narrow, at, std::min(at + CHUNK, to), depth, std::min(PANELS, panels - p), input,
                              output + p * LANES, width - p * LANES});
    return weights + panels * panel;
}

// Rows that go through both products before the next ones do, while what is between the two is still at hand.
struct Wave {
    int32_t from;           // in the step's rows
    int64_t first, second;  // where its pieces end
};
struct Plan {
    std::vector<Piece> first, second;
    std::vector<Wave> waves;
    int64_t rows, stride, work;  // of what is between the products; multiplications
};

static void plan(Plan &made, const Layer &layer, const Step &step) {
    made.first.clear();
    made.second.clear();
    made.waves.clear();
    made.rows = made.stride = made.work = 0;
    int64_t out = 0;
    for (int i = 0; i < layer.slices; i++) out += layer.widths[i];
    int open = 0;  // rows that the last wave has room for
    for (int g = 0; g < step.groups; g++) {
        const Slot &slot = layer.slots[step.slots[g]];
        if (!slot.a) continue;
        for (int from = step.starts[g], to; from < step.starts[g + 1]; from = to) {
            if (!open) {
                made.waves.push_back({from, 0, 0});
                open = WAVE;
            }
            to = std::min(from + open, step.starts[g + 1]);
            open -= to - from;
            int rank = 0, column = 0;
            const char *b = (const char *)slot.b;
            for (int i = 0; i < layer.slices; i++) {
                int own = slot.ranks[i], width = layer.widths[i];
                if (own) b = cut(made.second, b, slot.narrow, from, to, own, rank, column, width);
                rank += own;
                column += width;
            }
            cut(made.first, (const char *)slot.a, slot.narrow, from, to, layer.in, 0, 0, rank);
            Wave &wave = made.waves.back();
            wave.first = made.first.size(), wave.second = made.second.size();
            made.rows = std::max<int64_t>(made.rows, to - wave.from);
            made.stride = std::max<int64_t>(made.stride, (rank + LANES - 1) / LANES * LANES);
            made.work += (int64_t)(to - from) * rank * (layer.in + out / layer.slices);
        }
    }
}

template <class T>
static void add(const Layer &layer, const Step &step, T *y, int64_t y_stride, const T *x, int64_t x_stride) {
    static thread_local Plan own;
    static thread_local std::vector<Row<T>> own_t;
    const Plan &made = own;  // the other threads' are others
    plan(own, layer, step);
    if (made.waves.empty()) return;
    own_t.resize(made.rows * made.stride);
    Row<T> *t = own_t.data();
#ifdef _OPENMP
    int threads = (int)std::min<int64_t>(omp_get_max_threads(), 1 + made.work / WORTH);
#pragma omp parallel num_threads(threads)
#endif
    {
        int64_t one = 0, two = 0;
        for (const Wave &wave : made.waves) {
#pragma omp for schedule(dynamic)
            for (int64_t i = one; i < wave.first; i++) shrink(made.first[i], step, x, x_stride, t, made.stride, wave.from);
#pragma omp for schedule(dynamic)
            for (int64_t i = two; i < wave.second; i++) expand(made.second[i], step, y, y_stride, t, made.stride, wave.from);
            one = wave.first, two = wave.second;
        }
    }
}

// What a panel holds of one column, a row of (columns, depth), at one step through the depth.
static inline uint16_t narrowed(float x) {  // as `rounded`
    uint32_t w;
    std::memcpy(&w, &x, sizeof w);
    return x != x ? 0x7fc0 : (w + 0x7fff + ((w >> 16) & 1)) >> 16;
}
template <class U>
static inline void put(float &to, const U *row, int64_t, int64_t k, float scale) { to = scale * wide(row[k]); }
template <class U>
static inline void put(Pair &to, const U *row, int64_t depth, int64_t k, float scale) {
    if constexpr (std::is_same_v<U, Bf16>)
        if (scale == 1 && 2 * k + 1 < depth) return (void)std::memcpy(&to, row + 2 * k, sizeof to);
    to.even.bits = narrowed(scale * wide(row[2 * k]));
    to.odd.bits = 2 * k + 1 < depth ? narrowed(scale * wide(row[2 * k + 1])) : 0;
}

struct Job {  // a stored matrix, or some rows of one, and where it goes; both addresses are added to those of the whole
    int64_t from, to;
    int64_t columns, depth;      // the rows that are stored, and how long each is
    int64_t first, all, length;  // in panels that hold `all` columns of an even `length`: the first that is written
    float scale;
    int32_t stored, kept;        // F32, BF16 or F16; F32 or BF16
};
enum { F32, BF16, F16 };

// What of the panels no row goes to is left as it is: zeros.
template <class W, class U>
static void lay_out(const Job &job, const U *from, W *to) {
    int64_t length = steps(to, job.length), filled = steps(to, job.depth), panels = (job.all + LANES - 1) / LANES;
    for (int64_t part = 0; part < filled; part += STRETCH)
        for (int64_t column = 0; column < job.columns; column++) {
            int64_t panel = (job.first + column) / LANES, start = panel / BLOCK * BLOCK, side = std::min<int64_t>(BLOCK, panels - start);
            W *at = to + (start * length + panel - start) * LANES + (job.first + column) % LANES;
            const U *row = from + column * job.depth;
            for (int64_t k = part, end = std::min(part + STRETCH, filled); k < end; k++) put(at[k * side * LANES], row, job.depth, k, job.scale);
        }
}
template <class U>
static void lay_out(const Job &job, const U *from, char *to) {
    if (job.kept == BF16) lay_out(job, from, (Pair *)(to + job.to));
    else lay_out(job, from, (float *)(to + job.to));
}

extern "C" int lanes() { return LANES; }
extern "C" int block() { return BLOCK; }
extern "C" void lay_out(const Job *jobs, int64_t count, const char *from, char *to) {
    for (const Job *job = jobs; job < jobs + count; job++) {
        const char *matrix = from + job->from;
        if (job->stored == F32) lay_out(*job, (const float *)matrix, to);
        else if (job->stored == BF16) lay_out(*job, (const Bf16 *)matrix, to);
        else lay_out(*job, (const Half *)matrix, to);
    }
}
extern "C" void add_bf16(const Layer *layer, const Step *step, void *y, int64_t y_stride, const void *x, int64_t x_stride) {
    add<Bf16>(*layer, *step, (Bf16 *)y, y_stride, (const Bf16 *)x, x_stride);
}
extern "C" void add_f32(const Layer *layer, const Step *step, void *y, int64_t y_stride, const void *x, int64_t x_stride) {
    add<float>(*layer, *step, (float *)y, y_stride, (const float *)x, x_stride);
}
