// The walk from the root to a leaf, for trees too large for bitvectors. The same code on every machine.
#include "trees.h"

CKT_INLINE double leaf_of(const ck_trees *trees, int32_t at, const float *columns, size_t stride) {
    while (at >= 0) {
        const ck_tree_node *node = trees->nodes + at;
        const float *column = columns + (size_t)(node->column & CK_NODE_COLUMN) * stride;
        int right;
        if (node->column & CK_NODE_CATEGORY) {
            right = ck_in_set(trees->words + node->test.first_word, node->bit_count, ck_code(column));
        } else {
            float x = *column;
            right = (x >= node->test.threshold) | ((x != x) & (int)(node->column >> 30 & 1));
        }
        at = right ? node->right : node->left;
    }
    return trees->node_leaves[-1 - at];
}

void ck_trees_walk(const ck_trees *trees, const float *columns, size_t column_stride, size_t rows, double *sums,
                   size_t sum_stride) {
    for (size_t k = 0; k < trees->output_count; k++)
        for (size_t r = 0; r < rows; r++)
            sums[k * sum_stride + r] = trees->single ? (float)trees->base[k] : trees->base[k];
    // Tree by tree, so that a tree is in the cache while the rows walk it.
    for (size_t t = 0; t < trees->tree_count; t++) {
        double *sum = sums + (size_t)trees->tree_outputs[t] * sum_stride;
        for (size_t r = 0; r < rows; r++) {
            double leaf = leaf_of(trees, trees->roots[t], columns + r, column_stride);
            sum[r] = trees->single ? (float)((float)sum[r] + (float)leaf) : sum[r] + leaf;
        }
    }
}
