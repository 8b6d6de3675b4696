#ifndef CKERNELS_H
#define CKERNELS_H

#include <sched.h>
#include <stddef.h>
#include <stdint.h>

/* The SIMD kernels of the node. One file per instruction set, chosen once at load.
 *
 * Every kernel takes a batch of rows: a call costs more than one dot product. Rows are row-major Float32 (or IEEE
 * half) with a stride in elements. Higher is better everywhere: `l2` kernels return the NEGATED squared distance.
 * Equal rows get equal scores, bit for bit, wherever they stand in a batch (one accumulator order per instruction
 * set), so that ties can be broken by row.
 */

enum { CK_SCALAR = 0, CK_AVX2 = 1, CK_AVX512 = 2, CK_NEON = 3 };

/// The instruction set in use: 0 scalar, 1 AVX2 + FMA + F16C, 2 AVX-512 (F, BW, DQ, VL, VNNI), 3 NEON.
/// The environment variable MARTLET_ISA (scalar, avx2, avx512, neon) lowers it, for tests and comparisons.
int ck_isa(void);
/// "scalar", "avx2", "avx512" or "neon".
const char *ck_isa_name(int isa);

/// The distance kernels of one instruction set.
typedef struct ck_distance {
    /// out[i] = dot(query, row i), for n contiguous rows.
    void (*dot_rows)(const float *query, const float *rows, size_t stride, size_t n, size_t d, float *out);
    /// out[i] = -|query - row i|^2, for n contiguous rows.
    void (*l2_rows)(const float *query, const float *rows, size_t stride, size_t n, size_t d, float *out);
    /// out[i] = dot(query, row ids[i]); rows ahead are prefetched.
    void (*dot_gather)(const float *query, const float *base, size_t stride, const uint32_t *ids, size_t n, size_t d,
                       float *out);
    /// out[i] = -|query - row ids[i]|^2; rows ahead are prefetched.
    void (*l2_gather)(const float *query, const float *base, size_t stride, const uint32_t *ids, size_t n, size_t d,
                      float *out);
    /// Writes row numbers (first + i) and scores of those contiguous rows whose score is not below `threshold` (so
    /// a NaN passes), in ascending order, and returns how many. `row_scale`, if given, multiplies the score of row i.
    /// hit_rows and hit_scores need room for n + 16.
    size_t (*dot_scan)(const float *query, const float *rows, size_t stride, size_t n, size_t d, const float *row_scale,
                       float threshold, uint32_t first, uint32_t *hit_rows, float *hit_scores);
    /// The same for the negated squared distance (never scaled).
    size_t (*l2_scan)(const float *query, const float *rows, size_t stride, size_t n, size_t d, float threshold,
                      uint32_t first, uint32_t *hit_rows, float *hit_scores);
    /// dot_rows against IEEE half rows.
    void (*dot_rows_f16)(const float *query, const uint16_t *rows, size_t stride, size_t n, size_t d, float *out);
    /// dot_gather against IEEE half rows.
    void (*dot_gather_f16)(const float *query, const uint16_t *base, size_t stride, const uint32_t *ids, size_t n,
                           size_t d, float *out);
    /// l2_gather against IEEE half rows.
    void (*l2_gather_f16)(const float *query, const uint16_t *base, size_t stride, const uint32_t *ids, size_t n,
                          size_t d, float *out);
    /// IEEE half to float.
    void (*f16_to_f32)(const uint16_t *source, size_t n, float *out);
    /// Float to IEEE half, round to nearest even, overflow to infinity.
    void (*f32_to_f16)(const float *source, size_t n, uint16_t *out);
    /// y += a * x.
    void (*axpy)(float a, const float *x, size_t n, float *y);
    /// 1 when none of the values is infinite or NaN.
    int (*all_finite)(const float *x, size_t n);
} ck_distance;

/// The kernels of `isa`, or NULL where this machine or build cannot run them.
const ck_distance *ck_distance_of(int isa);
/// Set once before main.
extern const ck_distance *ck_active_distance;
/// The kernels in use, never NULL.
static inline const ck_distance *ck_active(void) { return ck_active_distance; }

/* Upper bounds of scores from 8-bit codes.
 *
 * Sixteen rows form a block; `scan` reads blocks, four dimensions ("a group") of all sixteen rows on each cache line:
 *
 *   | scale: 16 IEEE halves | rest: 16 IEEE halves | group 0: 16 rows x 4 codes | group 1 | ...
 *
 * A code is the value divided by the row's scale, plus 128. `rest` is at least the length of what the codes of this
 * and earlier levels leave out of the row.
 */
enum { CK_BLOCK_ROWS = 16 };

/// A query against codes: bound(row) = (dot(codes) + bias) * scale * row scale + rest * row rest.
typedef struct ck_probe {
    /// 4 * groups codes, -127 to 127.
    const int8_t *codes;
    size_t groups;
    /// Takes the rows' 128 off and adds what rounding may hide.
    int32_t bias;
    float scale;
    float rest;
} ck_probe;

/// Some dimensions of all rows, sixteen rows to a block, and the probe that goes with them.
typedef struct ck_level {
    /// 16 scales and 16 rests in half precision, then 64 bytes for each 4 dimensions (bytes) or 8 (nibbles: the first
    /// four dimensions of a lane in the low halves).
    const uint8_t *blocks;
    const ck_probe *probe;
    /// 0: codes are bytes, 128 is zero. 1: codes are half bytes, 8 is zero; an even number of groups.
    int nibbles;
} ck_level;

/// The bounds of one instruction set. A bound that is NaN passes.
typedef struct ck_bounds {
    /// Writes the positions (16 * block + lane, ascending) of the rows of the blocks `from` to `to` (not with it) whose
    /// bound is not below `threshold` on any of 1 to 3 levels and returns how many. A level is read where the one before leaves a row in; its bound is
    /// what all levels up to it know, and its own rest. `offsets`, if given, is added to each row's bound. Room for
    /// 16 * (to - from) + 16 hits.
    size_t (*scan)(const ck_level *levels, size_t level_count, const float *offsets, size_t from, size_t to,
                   float threshold, uint32_t *hits);
    /// Keeps those of `n` positions whose bound from row-major codes is not below `threshold`. `hits` may be
    /// `positions`; room for n + 4.
    size_t (*rows)(const uint8_t *codes, size_t stride, const float *scales, const float *offsets,
                   const ck_probe *probe, const uint32_t *positions, size_t n, float threshold, uint32_t *hits);
} ck_bounds;

/// The bounds of `isa`, or NULL where this machine or build cannot run them.
const ck_bounds *ck_bounds_of(int isa);
/// Set once before main.
extern const ck_bounds *ck_active_bounds;
/// The bounds in use, never NULL.
static inline const ck_bounds *ck_bounding(void) { return ck_active_bounds; }

/* Rows in 8-bit codes for walks over a graph: near enough to find the way by.
 *
 *   | codes: one byte a dimension, 128 for zero | unused | scale: float | offset: float |     stride bytes
 *
 * A row, less the centre of all rows, is scale times (code - 128). The stride is a multiple of 64 and holds dimension + 8
 * bytes at least, so that what a score needs lies on the lines of the codes. All instruction sets give the same bits.
 */

/// A query against such rows: score(row) = (dot(codes) + bias) * (scale * row scale) + row offset.
typedef struct ck_code_query {
    /// As many as a row has bytes, -127 to 127; zero where a row has no code.
    const int8_t *codes;
    /// Takes the rows' 128 off.
    int32_t bias;
    float scale;
} ck_code_query;

/// The code kernels of one instruction set.
typedef struct ck_codes {
    /// out[i] = score of row ids[i]; rows ahead are prefetched.
    void (*gather)(const uint8_t *base, size_t stride, const ck_code_query *query, const uint32_t *ids, size_t n,
                   float *out);
    /// Writes the codes of factor * x - centre. With `l2` the row's scale and offset make the score minus the squared
    /// distance, else the inner product; both but for a number that is the same for all rows. A row that is too long
    /// for codes has an infinite scale.
    void (*encode)(const float *x, float factor, const float *centre, size_t d, int l2, uint8_t *row, size_t stride);
    /// Writes the codes of q - centre, or of q where there is no centre, and zeros up to `bytes`; returns the bias and
    /// sets the scale.
    int32_t (*encode_query)(const float *q, const float *centre, size_t d, int8_t *codes, size_t bytes, float *scale);
} ck_codes;

/// The code kernels of `isa`, or NULL where this machine or build cannot run them.
const ck_codes *ck_codes_of(int isa);
/// Set once before main.
extern const ck_codes *ck_active_codes;
/// The code kernels in use, never NULL.
static inline const ck_codes *ck_coding(void) { return ck_active_codes; }

/// Asks for the cache line at `address`.
static inline void ck_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }
/// A float as an integer of the same order: -0 counts as 0, NaN as the least.
static inline uint32_t ck_ordered(float score) {
    union {
        float value;
        uint32_t bits;
    } u = {score + 0.0f};
    if (score != score) return 0;
    return u.bits & 0x80000000u ? ~u.bits : u.bits | 0x80000000u;
}
/// The float that `ck_ordered` made the integer of; 0 gives minus infinity.
static inline float ck_unordered(uint32_t ordered) {
    union {
        uint32_t bits;
        float value;
    } u = {ordered & 0x80000000u ? ordered & 0x7FFFFFFFu : ordered ? ~ordered : 0xFF800000u};
    return u.value;
}
/// Moves the `k` greatest of `n` distinct keys to the front, in no order, and returns the least of them; 1 <= k <= n.
uint64_t ck_keep_greatest(uint64_t *keys, size_t n, size_t k);
/// Appends the keys of those of `count` rows that are greater than `bar` to `keys` and returns how many.
size_t ck_collect_keys(const uint32_t *rows, const float *scores, size_t count, uint64_t bar, uint64_t *keys);
/// Sorts keys, greatest first.
void ck_sort_descending(uint64_t *keys, size_t n);
/// How many of `count` descending keys are greater than `key`: a binary search without branches to mispredict.
static inline size_t ck_rank_in_descending(const uint64_t *keys, size_t count, uint64_t key) {
    const uint64_t *base = keys;
    while (count > 1) {
        size_t half = count / 2;
        base = __builtin_unpredictable(base[half - 1] > key) ? base + half : base;
        count -= half;
    }
    return (size_t)(base - keys) + (count == 1 && *base > key);
}
/// Tells the core that its thread waits for another one.
static inline void ck_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/// A one-byte spin lock; the byte starts as 0. For critical sections of a microsecond or less; a holder that lost its
/// core is waited for by yielding.
static inline void ck_spin_lock(uint8_t *lock) {
    int turns = 0;
    while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE))
        while (__atomic_load_n(lock, __ATOMIC_RELAXED)) {
            ck_pause();
            if (++turns > 200) sched_yield();
        }
}
static inline void ck_spin_unlock(uint8_t *lock) { __atomic_store_n(lock, 0, __ATOMIC_RELEASE); }

#endif
