#ifndef TREES_H
#define TREES_H

#include "ckernels.h"
#include "tree_ensemble.h"
#include <string.h>

extern const ck_tree_kernels ck_trees_scalar;
#if defined(__x86_64__)
extern const ck_tree_kernels ck_trees_avx2;
extern const ck_tree_kernels ck_trees_avx512;
#elif defined(__aarch64__)
extern const ck_tree_kernels ck_trees_neon;
#endif

#define CKT_INLINE static inline __attribute__((always_inline))

/// A feature's value as its column has it.
CKT_INLINE float ck_column_value(float value, uint8_t kind) {
    if (kind == CK_COLUMN_PLAIN) return value;
    if (kind == CK_COLUMN_ZERO_MISSING) return value >= -1e-35f && value <= 1e-35f ? __builtin_nanf("") : value;
    uint32_t code;
    int below = kind == CK_COLUMN_CATEGORY ? value < 0 : value <= -1;
    if (value != value) code = 0;
    else if (below || value >= 2147483648.0f) code = CK_CATEGORY_NONE;
    else code = (uint32_t)(int32_t)value + 1;
    float out;
    memcpy(&out, &code, 4);
    return out;
}

/// The columns from `from` to `to` of up to 64 rows.
CKT_INLINE void ck_prepare_columns(const ck_trees *trees, const float *values, size_t stride, size_t rows, size_t from,
                                   size_t to, float *columns) {
    for (size_t c = from; c < to; c++) {
        const float *value = values + trees->features[c];
        float *column = columns + c * CK_TREE_ROWS, last = 0;
        uint8_t kind = trees->kinds[c];
        if (kind == CK_COLUMN_PLAIN)
            for (size_t r = 0; r < rows; r++) column[r] = last = value[r * stride];
        else
            for (size_t r = 0; r < rows; r++) column[r] = last = ck_column_value(value[r * stride], kind);
        for (size_t r = rows; r < CK_TREE_ROWS; r++) column[r] = last;
    }
}

CKT_INLINE int ck_in_set(const uint32_t *words, uint32_t bit_count, uint32_t code) {
    return code < bit_count && (words[code >> 5] >> (code & 31) & 1);
}

CKT_INLINE uint32_t ck_code(const float *column) {
    uint32_t code;
    memcpy(&code, column, 4);
    return code;
}

/// Adds the leaves of a group's sixteen pieces for one row; `left` are the leaves that are left of each.
CKT_INLINE void ck_add_group(const ck_trees *trees, size_t group, uint32_t *left, const float *columns, double *sums,
                             float *singles, int *open) {
    size_t first = group * CK_TREE_LANES, end = first + CK_TREE_LANES;
    if (end > trees->piece_count) end = trees->piece_count;
    const ck_tree_piece *piece = trees->pieces + first;
    if (trees->category_count)
        for (size_t p = first; p < end; p++)
            for (uint32_t i = 0; i < piece[p - first].category_count; i++) {
                const ck_category_test *test = trees->categories + piece[p - first].category_first + i;
                if (ck_in_set(trees->words + test->first_word, test->bit_count, ck_code(columns + test->column)))
                    left[p - first] &= test->mask;
            }
    if (trees->output_count == 1 && !trees->cut) {
        // The sum stays in a register.
        double sum = sums[0];
        float single = singles[0];
        const size_t count = end - first, at = first * CK_PIECE_LEAVES;
        if (trees->single)
            for (size_t i = 0; i < count; i++)
                single += trees->single_leaves[at + i * CK_PIECE_LEAVES + (size_t)__builtin_clz(left[i])];
        else
            for (size_t i = 0; i < count; i++)
                sum += trees->leaves[at + i * CK_PIECE_LEAVES + (size_t)__builtin_clz(left[i])];
        sums[0] = sum;
        singles[0] = single;
        return;
    }
    for (size_t p = first; p < end; p++, piece++, left++) {
        if (trees->cut) {
            if (!piece->continues) *open = 1;
            if (!*open || !*left) continue;
            *open = 0;
        }
        size_t leaf = p * CK_PIECE_LEAVES + (size_t)__builtin_clz(*left);
        if (trees->single) singles[piece->output] += trees->single_leaves[leaf];
        else sums[piece->output] += trees->leaves[leaf];
    }
}

#endif
