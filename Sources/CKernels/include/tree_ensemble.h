#ifndef TREE_ENSEMBLE_H
#define TREE_ENSEMBLE_H

#include <stddef.h>
#include <stdint.h>

/* Ensembles of decision trees, evaluated many rows or many trees at a time.
 *
 * A row goes right at a node when its value is not below the node's threshold. Two forms of one ensemble:
 *
 * Bitvectors (QuickScorer: Lucchese et al. 2015; over SIMD lanes: RapidScorer, Ye et al. 2018). Leaves stand from left
 * to right, the first in the highest bit. A node whose test sends the row right takes the leaves of its left subtree
 * out; after all nodes, in any order, the highest bit left is the row's leaf. No branch depends on a row. Trees of more
 * than 32 leaves are cut into pieces of 32: a node has an entry in each piece that holds leaves of its left subtree, and
 * the first piece with a bit left has the row's leaf.
 *
 * Sixteen pieces form a group, whose entries lie slot by slot, so that one row can meet sixteen pieces at once and many
 * rows one piece:
 *
 *   slot 0: column of pieces 0..15 | slot 1: ...      thresholds and masks likewise
 *
 * Nodes: the usual walk, for trees whose entries would be too many.
 *
 * Both add the leaves in the order of the trees, so they agree bit for bit, whatever the instruction set.
 */

enum { CK_TREE_ROWS = 64, CK_TREE_LANES = 16, CK_PIECE_LEAVES = 32 };

/// What a column does to the value of its feature.
enum {
    CK_COLUMN_PLAIN = 0,
    /// Values within 1e-35 of zero become NaN, as LightGBM has it for `zero_as_missing`.
    CK_COLUMN_ZERO_MISSING = 1,
    /// A category: NaN is 0, the integer part v is v + 1, negative ones are CK_CATEGORY_NONE. LightGBM's rule: -0.5 is 0.
    CK_COLUMN_CATEGORY_TRUNCATED = 2,
    /// The same by XGBoost's rule: everything below 0 is CK_CATEGORY_NONE.
    CK_COLUMN_CATEGORY = 3,
};
#define CK_CATEGORY_NONE 0xFFFFFFFFu

/// Up to 32 consecutive leaves of a tree.
typedef struct ck_tree_piece {
    /// Numerical entries, in the piece's lane of the slots of its group, and how many of them (the first) send NaN left.
    uint32_t entries, nan_left_entries;
    /// Its tests of categories.
    uint32_t category_first, category_count;
    /// Where its leaves are added.
    uint32_t output;
    /// 1: leaves of the same tree stand in the piece before.
    uint32_t continues;
} ck_tree_piece;

/// A node that sends the categories of a set right, in one piece.
typedef struct ck_category_test {
    uint32_t column;
    /// 0 for the leaves that going right takes out.
    uint32_t mask;
    /// The set: a bit for each code of a category column.
    uint32_t first_word, bit_count;
} ck_category_test;

/// A node of the walk.
typedef struct ck_tree_node {
    /// CK_NODE_CATEGORY and CK_NODE_NAN_RIGHT stand in the highest bits.
    uint32_t column;
    /// A threshold, or the first word of a set and, in `bit_count`, its bits.
    union {
        float threshold;
        uint32_t first_word;
    } test;
    uint32_t bit_count;
    /// The next node; -1 - leaf at the end.
    int32_t left, right;
} ck_tree_node;
#define CK_NODE_CATEGORY 0x80000000u
#define CK_NODE_NAN_RIGHT 0x40000000u
#define CK_NODE_COLUMN 0x3FFFFFFFu

/// A sealed ensemble. Nothing is checked again when it is evaluated.
typedef struct ck_trees {
    size_t column_count, output_count, piece_count, tree_count, category_count;
    /// For each column its feature and what is done to it.
    const uint32_t *features;
    const uint8_t *kinds;
    /// What each output begins with.
    const double *base;
    /// 1: sums are taken in Float32 (XGBoost), 0: in double (LightGBM).
    int single;
    /// 1: a tree has more than one piece.
    int cut;

    /// Padded to whole groups with empty pieces.
    const ck_tree_piece *pieces;
    /// The first slot of each group, and the end.
    const uint32_t *group_slots;
    /// [slot][16]; entries that fill up have a mask of ones.
    const uint32_t *columns;
    const float *thresholds;
    const uint32_t *masks;
    /// [slot]: a bit for each lane whose entry sends NaN right.
    const uint16_t *nan_right;
    const ck_category_test *categories;
    const uint32_t *words;
    /// [piece][32], the first leaf first.
    const double *leaves;
    const float *single_leaves;
    /// [piece][2][32]: the low halves of the doubles, then the high ones.
    const uint32_t *leaf_halves;

    /// The walk: nodes of all trees, where each tree begins (a node, or -1 - leaf), its output; leaves of all trees.
    const ck_tree_node *nodes;
    const int32_t *roots;
    const uint32_t *tree_outputs;
    const double *node_leaves;
} ck_trees;

/// The kernels of one instruction set. Columns are what `prepare` wrote: [column][64] for rows together, [column] (padded
/// to 64 columns) for a row alone.
typedef struct ck_tree_kernels {
    /// Takes `rows` (1 to 64) rows of `stride` features apart; places beyond the last row get its values.
    void (*prepare)(const ck_trees *trees, const float *values, size_t stride, size_t rows, float *columns);
    /// sums[output][64]; `singles` is room for as many floats. Rows beyond `rows` are not written or get anything.
    void (*rows)(const ck_trees *trees, const float *columns, size_t rows, double *sums, float *singles);
    /// sums[output] of one row; `singles` is room for as many floats.
    void (*row)(const ck_trees *trees, const float *columns, double *sums, float *singles);
} ck_tree_kernels;

/// The kernels of `isa`, or NULL where this machine or build cannot run them.
const ck_tree_kernels *ck_tree_kernels_of(int isa);
/// Set once before main.
extern const ck_tree_kernels *ck_active_trees;

/// Prepares one row alone: columns[column].
void ck_trees_prepare_row(const ck_trees *trees, const float *values, float *columns);
/// The walk over one row or several: sums[output * sum_stride + row]; column c of row r is columns[c * column_stride + r].
void ck_trees_walk(const ck_trees *trees, const float *columns, size_t column_stride, size_t rows, double *sums,
                   size_t sum_stride);

#endif
