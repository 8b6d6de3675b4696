// The kernels of an instruction set of W floats, over the operations that it defines before it includes this file:
//   vf, vu: W floats, W 32-bit words
//   keep_below(acc, x, t, out): acc without the bits of `out` where x >= t; NaN keeps them
//   keep_not_above(acc, x, t, out): the same, but NaN loses them
//   slots(trees, from, to, columns, left): a group's slots for one row
#include "trees.h"

enum { V = CK_TREE_ROWS / W };

static void prepare(const ck_trees *trees, const float *values, size_t stride, size_t rows, float *columns) {
    ck_prepare_columns(trees, values, stride, rows, 0, trees->column_count, columns);
}

/// The leaves of a piece that are left of each row.
CKT_INLINE void leaves_left(const ck_trees *trees, size_t p, const float *columns, uint32_t *left) {
    const ck_tree_piece *piece = trees->pieces + p;
    size_t at = (size_t)trees->group_slots[p / CK_TREE_LANES] * CK_TREE_LANES + p % CK_TREE_LANES;
    vu acc[V];
    for (int v = 0; v < V; v++) acc[v] = vu_set(0xFFFFFFFFu);
    uint32_t e = 0;
    for (; e < piece->nan_left_entries; e++, at += CK_TREE_LANES) {
        const float *x = columns + (size_t)trees->columns[at] * CK_TREE_ROWS;
        vf t = vf_set(trees->thresholds[at]);
        vu out = vu_set(~trees->masks[at]);
        for (int v = 0; v < V; v++) acc[v] = keep_below(acc[v], vf_load(x + v * W), t, out);
    }
    for (; e < piece->entries; e++, at += CK_TREE_LANES) {
        const float *x = columns + (size_t)trees->columns[at] * CK_TREE_ROWS;
        vf t = vf_set(trees->thresholds[at]);
        vu out = vu_set(~trees->masks[at]);
        for (int v = 0; v < V; v++) acc[v] = keep_not_above(acc[v], vf_load(x + v * W), t, out);
    }
    for (int v = 0; v < V; v++) vu_store(left + v * W, acc[v]);
    for (uint32_t i = 0; i < piece->category_count; i++) {
        const ck_category_test *test = trees->categories + piece->category_first + i;
        const uint32_t *words = trees->words + test->first_word;
        const float *x = columns + (size_t)test->column * CK_TREE_ROWS;
        for (int r = 0; r < CK_TREE_ROWS; r++)
            if (ck_in_set(words, test->bit_count, ck_code(x + r))) left[r] &= test->mask;
    }
}

static void rows_together(const ck_trees *trees, const float *columns, size_t rows, double *sums, float *singles) {
    for (size_t k = 0; k < trees->output_count; k++)
        for (size_t r = 0; r < CK_TREE_ROWS; r++) {
            sums[k * CK_TREE_ROWS + r] = trees->base[k];
            singles[k * CK_TREE_ROWS + r] = (float)trees->base[k];
        }
    uint32_t left[CK_TREE_ROWS];
    uint64_t open = 0;
    for (size_t p = 0; p < trees->piece_count; p++) {
        leaves_left(trees, p, columns, left);
        const ck_tree_piece *piece = trees->pieces + p;
        double *sum = sums + (size_t)piece->output * CK_TREE_ROWS;
        float *single = singles + (size_t)piece->output * CK_TREE_ROWS;
        const double *leaves = trees->leaves + p * CK_PIECE_LEAVES;
        const float *single_leaves = trees->single_leaves + p * CK_PIECE_LEAVES;
        if (trees->cut) {
            if (!piece->continues) open = ~0ull;
            for (size_t r = 0; r < rows; r++) {
                if (!(open >> r & 1) || !left[r]) continue;
                open &= ~(1ull << r);
                if (trees->single) single[r] += single_leaves[__builtin_clz(left[r])];
                else sum[r] += leaves[__builtin_clz(left[r])];
            }
        } else if (trees->single) {
            for (size_t r = 0; r < rows; r++) single[r] += single_leaves[__builtin_clz(left[r])];
        } else {
            for (size_t r = 0; r < rows; r++) sum[r] += leaves[__builtin_clz(left[r])];
        }
    }
    if (trees->single)
        for (size_t i = 0; i < trees->output_count * CK_TREE_ROWS; i++) sums[i] = singles[i];
}

static void row_alone(const ck_trees *trees, const float *columns, double *sums, float *singles) {
    for (size_t k = 0; k < trees->output_count; k++) {
        sums[k] = trees->base[k];
        singles[k] = (float)trees->base[k];
    }
    int open = 0;
    size_t groups = (trees->piece_count + CK_TREE_LANES - 1) / CK_TREE_LANES;
    for (size_t g = 0; g < groups; g++) {
        uint32_t left[CK_TREE_LANES];
        slots(trees, trees->group_slots[g], trees->group_slots[g + 1], columns, left);
        ck_add_group(trees, g, left, columns, sums, singles, &open);
    }
    if (trees->single)
        for (size_t k = 0; k < trees->output_count; k++) sums[k] = singles[k];
}

const ck_tree_kernels TREES_TABLE = {prepare, rows_together, row_alone};
